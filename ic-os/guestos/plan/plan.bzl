"""The actions that build images, from Bazel's analysis, for the scripts that build without Bazel.

Placeholders stand for what the scripts are given later: the version is `PLACEHOLDER`, and packages, executables and keys are
the files `placeholder/KIND/NAME` of this package.
"""

load("@rules_pkg//pkg:providers.bzl", "PackageFilesInfo")
load("//defs:debian.bzl", "DebianPackageInfo", "DebianPackagesInfo")

_VERSION = "PLACEHOLDER"

_ActionsInfo = provider(
    doc = "How a target is built.",
    fields = {
        "actions": "Depset of string: JSON of each action of the target, and of the targets that it is made from.",
        "distributions": "Depset of string: names of the Python distributions that the programs of the actions import.",
    },
)

def _placeholder(ctx, kind, name, content = ""):
    """Returns a file that stands for one that a script is given."""
    file = ctx.actions.declare_file("placeholder/%s/%s" % (kind, name))
    ctx.actions.write(file, content)
    return file

def _packages_placeholder_impl(ctx):
    deb = _placeholder(ctx, "packages", ctx.attr.set)
    info = DebianPackageInfo(architecture = "amd64", deb = deb, name = ctx.attr.set, version = "")
    return [
        DefaultInfo(files = depset([deb])),
        DebianPackagesInfo(locks = [ctx.file.lock], packages = [info], provided = ["${provided:%s}" % ctx.attr.set]),
    ]

packages_placeholder = rule(
    implementation = _packages_placeholder_impl,
    doc = "Stands for a set of locked packages.",
    attrs = {
        "lock": attr.label(allow_single_file = [".json"], doc = "The lock that has the set.", mandatory = True),
        "set": attr.string(doc = "Name of the set.", mandatory = True),
    },
    provides = [DebianPackagesInfo],
)

def _executables_placeholder_impl(ctx):
    files = {"opt/ic/bin/" + name: _placeholder(ctx, "executables", name) for name in ctx.attr.names}
    return [
        DefaultInfo(files = depset(files.values())),
        PackageFilesInfo(attributes = {"mode": "0755"}, dest_src_map = files),
    ]

executables_placeholder = rule(
    implementation = _executables_placeholder_impl,
    doc = "Stands for the executables of a release.",
    attrs = {"names": attr.string_list(doc = "Names of the executables.", mandatory = True)},
    provides = [PackageFilesInfo],
)

def _files_placeholder_impl(ctx):
    return [DefaultInfo(files = depset([_placeholder(ctx, ctx.label.name, "*", ctx.attr.content)]))]

files_placeholder = rule(
    implementation = _files_placeholder_impl,
    doc = "Stands for files; the target's name says what they are.",
    attrs = {"content": attr.string(doc = "What checks of the files accept.")},
)

def _dependencies(attributes):
    """Returns the _ActionsInfo of the targets in the attributes of a rule."""
    found = []
    for name in dir(attributes):
        value = getattr(attributes, name)
        values = value.keys() if type(value) == "dict" else value if type(value) == "list" else [value]
        found += [each[_ActionsInfo] for each in values if type(each) == "Target" and _ActionsInfo in each]
    return found

def _action(action):
    return json.encode({
        "content": action.content,
        "inputs": [file.path for file in action.inputs.to_list() if file.is_source],
        "mnemonic": action.mnemonic,
        "outputs": [file.path for file in action.outputs.to_list()],
        "words": action.argv,
    })

def _actions_aspect_impl(target, ctx):
    below = _dependencies(ctx.rule.attr)

    # The actions of a program build the program itself, which the scripts run from its sources.
    made = [] if target[DefaultInfo].files_to_run.executable else [_action(action) for action in target.actions]
    prefix = "distribution="
    distributions = [tag.removeprefix(prefix) for tag in ctx.rule.attr.tags if tag.startswith(prefix)]
    return [_ActionsInfo(
        actions = depset(made, transitive = [each.actions for each in below]),
        distributions = depset(distributions, transitive = [each.distributions for each in below]),
    )]

_actions_aspect = aspect(
    implementation = _actions_aspect_impl,
    doc = "Collects the actions of a target, and of all targets that it is made from.",
    apply_to_generating_rules = True,
    attr_aspects = ["*"],
)

_SETTINGS = {
    "//ic-os/guestos/packages:bootloader": Label("//ic-os/guestos/plan:bootloader"),
    "//ic-os/guestos/packages:guestos": Label("//ic-os/guestos/plan:guestos"),
    "//ic-os/guestos/packages:guestos-dev": Label("//ic-os/guestos/plan:guestos-dev"),
    "//ic-os/guestos/packages:installer": Label("//ic-os/guestos/plan:installer"),
    # The scripts have no key for Secure Boot.
    "//ic-os/guestos:prod_trust": "distribution",
    "//ic-os/guestos:release_binaries": Label("//ic-os/guestos/plan:executables"),
    "//ic-os/guestos:signing_key": Label("//ic-os/guestos/plan:signing_key"),
    "//ic-os/guestos:update_keys": Label("//ic-os/guestos/plan:update_keys"),
    "//ic-os/guestos:version": _VERSION,
    "//ic-os/guestos:version_floor": "",
}
_DISTRIBUTION = "//ic-os/guestos:distribution"

_placeholders = transition(
    implementation = lambda _settings, attr: {
        distribution: _SETTINGS | {_DISTRIBUTION: distribution}
        for distribution in attr.locks
    },
    inputs = [],
    outputs = _SETTINGS.keys() + [_DISTRIBUTION],
)

def _image_actions_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    infos = [target[_ActionsInfo] for target in ctx.attr.programs]
    actions = {}
    for distribution, targets in ctx.split_attr.images.items():
        infos += [target[_ActionsInfo] for target in targets]
        found = depset(transitive = [target[_ActionsInfo].actions for target in targets])
        actions[distribution] = [json.decode(action) for action in found.to_list()]
    ctx.actions.write(output, json.encode_indent({
        "actions": actions,
        "distributions": depset(transitive = [info.distributions for info in infos]).to_list(),
        "images": [file.short_path for file in depset(ctx.files.images).to_list()],
        "locks": ctx.attr.locks,
        "programs": {name: target[DefaultInfo].files_to_run.executable.path for target, name in ctx.attr.programs.items()},
    }))
    return [DefaultInfo(files = depset([output]))]

image_actions = rule(
    implementation = _image_actions_impl,
    doc = "The actions that build images of the GuestOS, as Bazel has them, in a JSON file.",
    attrs = {
        "images": attr.label_list(
            allow_files = True,
            aspects = [_actions_aspect],
            cfg = _placeholders,
            doc = "The images.",
            mandatory = True,
        ),
        "locks": attr.string_dict(
            doc = "The path of the lock of the packages, by distribution.",
            mandatory = True,
        ),
        "programs": attr.label_keyed_string_dict(
            aspects = [_actions_aspect],
            cfg = "exec",
            doc = "Other programs that the scripts run, to the names that the scripts have for them.",
        ),
    },
)
