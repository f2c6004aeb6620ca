"""Tests of the actions and providers that rules declare; nothing is built."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//defs:disk.bzl", "DiskImageInfo", "UpgradeImageInfo")
load("//defs:partitions.bzl", "PartitionInfo", "VerityInfo")
load("//defs:rootfs.bzl", "RootfsInfo")

_PLATFORMS = "//command_line_option:platforms"

def _platform(name):
    return str(Label("//defs/tests:" + name))

def _actions_test_impl(ctx):
    env = analysistest.begin(ctx)
    actions = [action for action in analysistest.target_actions(env) if action.mnemonic in ctx.attr.tools]
    asserts.equals(env, sorted(ctx.attr.tools), sorted({action.mnemonic: None for action in actions}), "mnemonics")
    for action in actions:
        tool = action.argv[0].split("/")[-1]
        asserts.equals(env, ctx.attr.tools[action.mnemonic], tool, "tool of " + action.mnemonic)
        asserts.equals(env, {}, action.env, "environment of " + action.mnemonic)
        for output in action.outputs.to_list():
            asserts.false(env, output.basename.endswith(".img"), "%s is a raw image" % output.basename)
    return analysistest.end(env)

actions_test = analysistest.make(
    _actions_test_impl,
    doc = "Checks that each action runs a tool of this project directly, without a shell and with an empty environment.",
    attrs = {"tools": attr.string_dict(doc = "Tools by the mnemonics of the target's actions.", mandatory = True)},
)

def _content_test_impl(ctx):
    env = analysistest.begin(ctx)
    (action,) = [action for action in analysistest.target_actions(env) if action.mnemonic == "FileWrite"]
    asserts.equals(env, ctx.attr.content, action.content)
    return analysistest.end(env)

content_test = analysistest.make(
    _content_test_impl,
    doc = "Checks the content of the one file that a target writes by itself.",
    attrs = {"content": attr.string(doc = "All of it.", mandatory = True)},
)

own_qemu_content_test = analysistest.make(
    _content_test_impl,
    doc = "Checks the content of the one file that a target writes by itself where there is a toolchain for QEMU.",
    attrs = {"content": attr.string(doc = "All of it.", mandatory = True)},
    config_settings = {"//command_line_option:extra_toolchains": str(Label("//defs/tests:own_qemu"))},
)

two_qemus_content_test = analysistest.make(
    _content_test_impl,
    doc = "Checks the content of the one file that a target writes by itself where there are toolchains for QEMU by platform.",
    attrs = {"content": attr.string(doc = "All of it.", mandatory = True)},
    config_settings = {"//command_line_option:extra_toolchains": ",".join([
        str(Label("//defs/tests:own_qemu_of_" + architecture))
        for architecture in ("aarch64", "x86_64")
    ])},
)

def _partition_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[PartitionInfo]
    asserts.equals(env, int(ctx.attr.bytes) if ctx.attr.bytes else None, info.size, "size")
    asserts.equals(env, [int(each) for each in ctx.attr.offsets], [part.offset for part in info.parts], "offsets")
    for part in info.parts:
        asserts.equals(env, ["gz", "zst"], sorted(part.payloads), "payloads")
    asserts.equals(env, VerityInfo in target, info.verity != None, "verity")
    if info.verity:
        asserts.equals(env, int(ctx.attr.offsets[-1]), info.verity.hash_offset, "place of the hash tree")
    return analysistest.end(env)

partition_test = analysistest.make(
    _partition_test_impl,
    doc = "Checks the providers of a partition's image.",
    attrs = {
        "bytes": attr.string(doc = "Size of the file system, or nothing if it is not known; a string, since an int attribute is limited to 32 bits."),
        "offsets": attr.string_list(doc = "The offsets of its parts, in bytes.", mandatory = True),
    },
)

def _layers_test_impl(ctx):
    env = analysistest.begin(ctx)
    layers = analysistest.target_under_test(env)[RootfsInfo].layers
    asserts.equals(env, ctx.attr.labels, [layer["label"].rpartition(":")[2] for layer in layers], "layers, lowest first")
    return analysistest.end(env)

layers_test = analysistest.make(
    _layers_test_impl,
    doc = "Checks the layers of a root tree.",
    attrs = {"labels": attr.string_list(doc = "Names of the targets that have its layers.", mandatory = True)},
)

def _origins_test_impl(ctx):
    env = analysistest.begin(ctx)
    info = analysistest.target_under_test(env)[RootfsInfo]
    asserts.equals(env, ctx.attr.stripped, [spec["label"].rpartition(":")[2] for spec in info.strip_paths], "targets that strip paths")
    asserts.equals(env, ctx.attr.accounts, info.accounts["label"].rpartition(":")[2], "target that adds accounts")
    return analysistest.end(env)

origins_test = analysistest.make(
    _origins_test_impl,
    doc = "Checks that a root tree says, for messages, which targets have the attributes.",
    attrs = {
        "accounts": attr.string(doc = "Name of the target with `passwords` or `sysusers`.", mandatory = True),
        "stripped": attr.string_list(doc = "Names of the targets with `strip_paths`, lowest first.", mandatory = True),
    },
)

def _units_test_impl(ctx):
    env = analysistest.begin(ctx)
    units = analysistest.target_under_test(env)[RootfsInfo].units
    asserts.equals(env, json.decode(ctx.attr.units), json.decode(json.encode(units)), "systemd units to check")
    return analysistest.end(env)

units_test = analysistest.make(
    _units_test_impl,
    doc = "Checks which systemd units of a root tree are checked.",
    attrs = {"units": attr.string(doc = "Those of its RootfsInfo, as JSON.", mandatory = True)},
)

def _executables_test_impl(ctx):
    env = analysistest.begin(ctx)
    found = [path for spec in analysistest.target_under_test(env)[RootfsInfo].executables for path in spec["paths"]]
    asserts.equals(env, ctx.attr.paths, found, "programs to check")
    return analysistest.end(env)

executables_test = analysistest.make(
    _executables_test_impl,
    doc = "Checks which programs of a root tree are checked.",
    attrs = {"paths": attr.string_list(doc = "Patterns of their paths.", mandatory = True)},
)

def _inputs_test_impl(ctx):
    env = analysistest.begin(ctx)
    actions = [
        action
        for action in analysistest.target_actions(env)
        if action.mnemonic == ctx.attr.mnemonic and any([ctx.attr.output in file.basename for file in action.outputs.to_list()])
    ]
    asserts.true(env, len(actions) > 0, "no action")
    for action in actions:
        inputs = [file.basename for file in action.inputs.to_list()]
        asserts.equals(env, [], [name for name in ctx.attr.inputs if name not in inputs], "missing inputs")
        asserts.equals(env, [], [name for name in ctx.attr.lacks if name in inputs], "inputs that are not needed")
    return analysistest.end(env)

inputs_test = analysistest.make(
    _inputs_test_impl,
    doc = "Checks the inputs of actions.",
    attrs = {
        "inputs": attr.string_list(doc = "Names of files that each of the actions reads.", mandatory = True),
        "lacks": attr.string_list(doc = "Names of files that none of them reads."),
        "mnemonic": attr.string(doc = "Of the actions.", mandatory = True),
        "output": attr.string(doc = "Part of the name of an output; only actions with such an output are meant."),
    },
)

def _sbom_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    found = [file.basename for file in target[OutputGroupInfo].sbom.to_list()]
    asserts.equals(env, [target.label.name + ".cdx.json", target.label.name + ".spdx.json"], sorted(found))
    others = [file.basename for file in target[DefaultInfo].files.to_list()]
    asserts.equals(env, [], [name for name in others if name in found], "are built without being requested")
    actions = [action for action in analysistest.target_actions(env) if action.mnemonic == "Sbom"]
    asserts.equals(env, 1, len(actions), "actions")
    asserts.equals(env, {}, actions[0].env, "environment")
    inputs = [file.basename for file in actions[0].inputs.to_list()]
    asserts.equals(env, [], [name for name in ctx.attr.inputs if name not in inputs], "missing inputs")
    return analysistest.end(env)

sbom_test = analysistest.make(
    _sbom_test_impl,
    doc = "Checks the output group `sbom` of a target, and that only this group builds it.",
    attrs = {"inputs": attr.string_list(doc = "Names of files that the action reads.", mandatory = True)},
)

def _groups_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    groups = target[OutputGroupInfo]
    expected = {
        "gz": [target.label.name + ctx.attr.tar + ".gz"],
        "mtree": ctx.attr.lists,
        "raw": [target.label.name + ".raw"] if ctx.attr.raw else [],
        "sbom": [target.label.name + suffix for suffix in (".cdx.json", ".spdx.json")] if ctx.attr.lists else [],
        "zst": [target.label.name + ctx.attr.tar + ".zst"],
    }
    for name, files in expected.items():
        found = getattr(groups, name).to_list() if hasattr(groups, name) else []
        asserts.equals(env, files, sorted([file.basename for file in found]), "output group " + name)
    if ctx.attr.raw:
        asserts.false(env, groups.raw.to_list()[0] in target[DefaultInfo].files.to_list(), "raw is built unasked")
    return analysistest.end(env)

groups_test = analysistest.make(
    _groups_test_impl,
    doc = "Checks the output groups that every image rule has.",
    attrs = {
        "lists": attr.string_list(doc = "Names of the lists of files; without one there are no bills of materials."),
        "raw": attr.bool(default = True, doc = "Whether there is the image as a raw file."),
        "tar": attr.string(default = ".img.tar", doc = "Suffix of the tar."),
    },
)

def _archive_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[DiskImageInfo] if DiskImageInfo in target else target[UpgradeImageInfo]
    name = target.label.name
    asserts.equals(env, name + ".tar", info.archive.basename)
    asserts.equals(env, ["gz", "zst"], sorted(info.compressed))
    outputs = [file.basename for file in target[DefaultInfo].files.to_list()]
    archives = [name + ".tar", name + ".tar.gz", name + ".tar.zst"]
    asserts.equals(env, sorted(archives + [archive + ".sha256" for archive in archives]), sorted(outputs))
    pairs = [sorted([each.basename for each in action.outputs.to_list()]) for action in analysistest.target_actions(env)]
    for archive in archives:
        asserts.true(env, [archive, archive + ".sha256"] in pairs, "no action writes %s and its checksum" % archive)
    for codec, file in info.compressed.items():
        inputs = [each for action in analysistest.target_actions(env) if file in action.outputs.to_list() for each in action.inputs.to_list()]
        other = {"gz": ".data.zst", "zst": ".data.gz"}[codec]
        asserts.false(env, any([other in each.basename for each in inputs]), "%s takes %s" % (codec, other))
    return analysistest.end(env)

archive_test = analysistest.make(
    _archive_test_impl,
    doc = "Checks the formats of a disk or update image: each action writes the checksum, too, and gets compressed data of its own codec only.",
)

def _architecture_test_impl(ctx):
    env = analysistest.begin(ctx)
    programs = analysistest.target_under_test(env)[RootfsInfo].executables
    asserts.equals(env, [ctx.attr.architecture], [each["architecture"] for each in programs])
    return analysistest.end(env)

_ARCHITECTURE_ATTRS = {"architecture": attr.string(doc = "As uname(1) names it.", mandatory = True)}

x86_architecture_test = analysistest.make(
    _architecture_test_impl,
    doc = "Checks the architecture of a root tree where the target platform is x86-64.",
    attrs = _ARCHITECTURE_ATTRS,
    config_settings = {_PLATFORMS: _platform("linux_x86_64")},
)

arm_architecture_test = analysistest.make(
    _architecture_test_impl,
    doc = "Checks the architecture of a root tree where the target platform is 64-bit Arm.",
    attrs = _ARCHITECTURE_ATTRS,
    config_settings = {_PLATFORMS: _platform("linux_aarch64")},
)

def _named_after_platform_impl(ctx):
    platform = ctx.fragments.platform.platform
    output = ctx.actions.declare_file("%s/%s/%s" % (ctx.label.name, platform.package, platform.name))
    ctx.actions.write(output, "")
    return [DefaultInfo(files = depset([output]))]

named_after_platform = rule(
    implementation = _named_after_platform_impl,
    doc = "A file whose path ends with the label of the target platform.",
    fragments = ["platform"],
)

def _platform_test_impl(ctx):
    env = analysistest.begin(ctx)
    (file,) = analysistest.target_under_test(env)[DefaultInfo].files.to_list()
    asserts.true(env, file.path.endswith("/" + ctx.attr.platform), "%s is not for %s" % (file.path, ctx.attr.platform))
    return analysistest.end(env)

_PLATFORM_ATTRS = {"platform": attr.string(doc = "Package and name of the platform.", mandatory = True)}

x86_platform_test = analysistest.make(
    _platform_test_impl,
    doc = "Checks what platform a named_after_platform is built for where the target platform is x86-64.",
    attrs = _PLATFORM_ATTRS,
    config_settings = {_PLATFORMS: _platform("linux_x86_64")},
)

arm_platform_test = analysistest.make(
    _platform_test_impl,
    doc = "Checks what platform a named_after_platform is built for where the target platform is 64-bit Arm.",
    attrs = _PLATFORM_ATTRS,
    config_settings = {_PLATFORMS: _platform("linux_aarch64")},
)

def _failure_test_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.message)
    return analysistest.end(env)

failure_test = analysistest.make(
    _failure_test_impl,
    doc = "Checks that the analysis of a target fails.",
    attrs = {"message": attr.string(doc = "Part of the error message.", mandatory = True)},
    expect_failure = True,
)

_FAILURE_ATTRS = {"message": attr.string(doc = "Part of the error message.", mandatory = True)}

arm_failure_test = analysistest.make(
    _failure_test_impl,
    doc = "Checks that the analysis of a target fails where the target platform is 64-bit Arm.",
    attrs = _FAILURE_ATTRS,
    config_settings = {_PLATFORMS: _platform("linux_aarch64")},
    expect_failure = True,
)

unknown_cpu_failure_test = analysistest.make(
    _failure_test_impl,
    doc = "Checks that the analysis of a target fails where the target platform has no CPU.",
    attrs = _FAILURE_ATTRS,
    config_settings = {_PLATFORMS: _platform("linux")},
    expect_failure = True,
)
