"""The rule for files with the version of the images."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("//ic-os/guestos:defaults.bzl", "VERSION_CHARACTERS")

def _version_file_impl(ctx):
    version = ctx.attr.version[BuildSettingInfo].value
    if (not version and not ctx.attr.optional) or [character for character in version.elems() if character not in VERSION_CHARACTERS]:
        fail("--%s: %r is not a version; it has one or more letters, digits and . _ -" % (ctx.attr.version.label, version))
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(output, version + ctx.attr.suffix + "\n")
    return [DefaultInfo(files = depset([output]))]

version_file = rule(
    implementation = _version_file_impl,
    doc = "A file with the version and a newline. It has the name of the target.",
    attrs = {
        "optional": attr.bool(doc = "Whether the version may be empty; the file then has an empty line."),
        "suffix": attr.string(doc = "Text that is appended to the version."),
        "version": attr.label(doc = "The build setting with the version.", mandatory = True, providers = [BuildSettingInfo]),
    },
)
