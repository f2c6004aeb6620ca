"""Bills of materials of images: the output group `sbom`, and the rule rootfs_sbom."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:rootfs_info.bzl", "RootfsInfo", "rootfs_arguments")

SBOM_ATTRS = {"_sbom": attr.label(default = "//tools/commands:sbom", executable = True, cfg = "exec")}

def _sbom_action(ctx, outputs, parts, inputs, locks, parameters):
    """Declares the action that writes bills of materials; Bazel runs it only if one of them is requested.

    Args:
        ctx: of a rule with SBOM_ATTRS.
        outputs: dict of formats (`spdx`, `cyclonedx`) to output Files.
        parts: list of dicts, each a `Part` of tools/commands/sbom.py.
        inputs: list of depsets of the files that the parts name.
        locks: depset of the locks with the packages' hashes.
        parameters: dict of further keys of the tool's spec.
    """
    spec = parameters | outputs | {"lock": locks.to_list(), "parts": parts}
    files = depset(transitive = inputs + [locks])
    command_action(ctx, "Sbom", ctx.executable._sbom, spec, files, outputs.values(), "Listing the packages of %{label}")

def image_contents(tree, inputs, locks):
    """Returns the content of an image for bills of materials.

    Args:
        tree: dict: `RootfsArguments` of tools/rootfs/tree_spec.py.
        inputs: depset of the Files that `tree` names.
        locks: depset of Files: locks of its packages.
    """
    return struct(inputs = inputs, locks = locks, tree = tree)

def sbom_outputs(ctx, contents, version_file = None):
    """Declares the bills of materials of a target, for its output group `sbom`.

    Args:
        ctx: of a rule with SBOM_ATTRS.
        contents: dict of names of the image's parts to `image_contents`; `""` for an image that is one tree.
        version_file: File with the version of the image, or None.

    Returns:
        Depset of Files: `NAME.spdx.json` and `NAME.cdx.json`.
    """
    outputs = {
        "cyclonedx": ctx.actions.declare_file(ctx.label.name + ".cdx.json"),
        "spdx": ctx.actions.declare_file(ctx.label.name + ".spdx.json"),
    }
    versions = [depset([version_file])] if version_file else []
    _sbom_action(
        ctx,
        outputs = outputs,
        parts = [{"name": name, "tree": each.tree} for name, each in contents.items()],
        inputs = [each.inputs for each in contents.values()] + versions,
        locks = depset(transitive = [each.locks for each in contents.values()]),
        parameters = {"name": ctx.label.name, "version_file": version_file},
    )
    return depset(outputs.values())

def partition_contents(partition, name):
    """Returns the contents of a partition by their names in its image: its own name, as it is one tree.

    Args:
        partition: PartitionInfo.
        name: of the partition.
    """
    contents = getattr(partition, "contents", None)
    return {name: contents} if contents else {}

def _rootfs_sbom_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    rootfs = ctx.attr.src[RootfsInfo]
    versions = [depset([ctx.file.version_file])] if ctx.file.version_file else []
    _sbom_action(
        ctx,
        outputs = {ctx.attr.format: output},
        parts = [{"name": "", "tree": rootfs_arguments(rootfs)}],
        inputs = [rootfs.inputs] + versions,
        locks = rootfs.locks,
        parameters = {
            "created": ctx.attr.created,
            "files": ctx.attr.files,
            "name": ctx.attr.image_name or ctx.label.name,
            "version_file": ctx.file.version_file,
        },
    )
    return [DefaultInfo(files = depset([output]))]

rootfs_sbom = rule(
    implementation = _rootfs_sbom_impl,
    doc = """A bill of materials of a root tree, as one file with the target's name, such as one that is put into the image.

One for the image itself must not list the image's own files, since it is one of them: take a lower layer as `src`, such as
that of the installed packages, or set `files = False`. Bills of a complete image are its output group `sbom`.""",
    attrs = SBOM_ATTRS | {
        "created": attr.string(
            default = "1970-01-01T00:00:00Z",
            doc = "Time in the document, which must not depend on the time of the build.",
        ),
        "files": attr.bool(default = True, doc = "Whether to list files that are not as a package has them."),
        "format": attr.string(
            default = "spdx",
            doc = "`spdx` (SPDX 2.3) or `cyclonedx` (CycloneDX 1.6), both in JSON.",
            values = ["cyclonedx", "spdx"],
        ),
        "image_name": attr.string(doc = "Name of the image in the document; the target's by default."),
        "src": attr.label(doc = "The root tree, a rootfs_tree.", mandatory = True, providers = [RootfsInfo]),
        "version_file": attr.label(allow_single_file = True, doc = "A file with the version of the image."),
    },
    exec_compatible_with = LINUX,
)
