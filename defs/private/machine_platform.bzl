"""Builds what a virtual machine boots for the processor of that machine, whatever the target platform is."""

load("//defs/private:attributes.bzl", "check_types")

_PLATFORMS = "//command_line_option:platforms"

# As uname(1) names them; those of tools/vm/architecture.py.
_ARCHITECTURES = ["aarch64", "x86_64"]

def check_architecture(where, architecture):
    """Fails if there are no machines of an architecture.

    Args:
        where: label of the target, for messages.
        architecture: value of its attribute.
    """
    check_types(where, "string", {"architecture": architecture}, configurable = False)
    if architecture not in _ARCHITECTURES:
        choices = " or ".join([json.encode(name) for name in _ARCHITECTURES])
        fail("%s: architecture: %s is not one that machines can have; write %s" % (where, json.encode(architecture), choices))

def machine_platform(architecture):
    """Returns the value of the attribute `platform` of the rules here: empty where the target platform has this processor.

    So a build for a platform with this processor, such as one with constraints of its own, is not done again for another one.

    Args:
        architecture: as uname(1) names it.
    """
    return select({
        Label("@platforms//cpu:" + architecture): "",
        "//conditions:default": str(Label("//defs:linux_" + architecture)),
    })

def _to_machine_impl(settings, attr):
    return {_PLATFORMS: [attr.platform] if attr.platform else settings[_PLATFORMS]}

# For attributes of rules with MACHINE_PLATFORM_ATTRS.
to_machine = transition(implementation = _to_machine_impl, inputs = [_PLATFORMS], outputs = [_PLATFORMS])

MACHINE_PLATFORM_ATTRS = {
    "platform": attr.string(doc = "The platform of the machine; none for the target platform."),
    "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
}

def _machine_file_impl(ctx):
    (target,) = ctx.attr.src
    files = target[DefaultInfo].files
    if ctx.attr.output_group:
        groups = target[OutputGroupInfo] if OutputGroupInfo in target else None
        files = getattr(groups, ctx.attr.output_group, depset())
    found = len(files.to_list())
    if found != 1:
        fail("%s: %s: %s has %d files; give %s" % (str(ctx.label).rpartition(".")[0], ctx.attr.attribute, target.label, found, ctx.attr.advice))
    runfiles = ctx.runfiles(transitive_files = files)
    return [DefaultInfo(files = files, runfiles = runfiles.merge(target[DefaultInfo].default_runfiles))]

machine_file = rule(
    implementation = _machine_file_impl,
    doc = "One output of a target, built for the machine. It is named after the target that needs it, with a suffix.",
    attrs = MACHINE_PLATFORM_ATTRS | {
        "advice": attr.string(mandatory = True, doc = "What to give instead of a target with more files, or none."),
        "attribute": attr.string(mandatory = True, doc = "The attribute that names the target, for messages."),
        "output_group": attr.string(doc = "The group of the output; none for the default outputs."),
        "src": attr.label(allow_files = True, cfg = to_machine, mandatory = True, doc = "The target."),
    },
)
