"""The rule extension_release."""

load("//defs/private:architecture.bzl", "ARCHITECTURE_ATTRS", "image_architecture")
load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:rootfs_info.bzl", "RootfsInfo", "rootfs_arguments")

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789._-"

def _check(ctx, attribute, value, letters):
    if value.strip(letters):
        fail("%s: %s: %r has other characters than %s" % (ctx.attr.image, attribute, value, letters))

def _extension_release_impl(ctx):
    level = ctx.attr.kind + "_level"
    _check(ctx, "id", ctx.attr.id, _LETTERS)
    _check(ctx, "version_id", ctx.attr.version_id, _LETTERS + "~^+")
    _check(ctx, level, ctx.attr.level, _LETTERS)
    if not ctx.attr.id:
        fail("%s: id: is empty; give ID of the system's os-release, or \"_any\"" % ctx.attr.image)
    if ctx.attr.id == "_any" and (ctx.attr.version_id or ctx.attr.level):
        fail("%s: version_id, %s: are ignored by systemd if id is \"_any\"; leave them out, or give the system's ID" % (ctx.attr.image, level))
    rootfs = ctx.attr.src[RootfsInfo]
    output = ctx.actions.declare_file(ctx.label.name)
    spec = rootfs_arguments(rootfs) | {
        "architecture": None if ctx.attr.architecture == "any" else image_architecture(ctx),
        "id": ctx.attr.id,
        "kind": ctx.attr.kind,
        "label": ctx.attr.image,
        "level": ctx.attr.level,
        "output": output,
        "version_id": ctx.attr.version_id,
    }
    command_action(ctx, "ExtensionRelease", ctx.executable._extension_release, spec, rootfs.inputs, [output], "Checking the files of %s" % ctx.attr.image)
    return [DefaultInfo(files = depset([output]))]

extension_release = rule(
    implementation = _extension_release_impl,
    doc = "The file that identifies an extension image, as an output of the check of the image's files.",
    attrs = ARCHITECTURE_ATTRS | {
        "architecture": attr.string(doc = "As `uname -m` prints it, or `any`; by default that of the target platform."),
        "id": attr.string(doc = "ID of the system.", mandatory = True),
        "image": attr.string(doc = "Label of the image, for messages.", mandatory = True),
        "kind": attr.string(doc = "What it extends.", mandatory = True, values = ["confext", "sysext"]),
        "level": attr.string(doc = "SYSEXT_LEVEL or CONFEXT_LEVEL of the system."),
        "src": attr.label(doc = "The files, a rootfs_tree.", mandatory = True, providers = [RootfsInfo]),
        "version_id": attr.string(doc = "VERSION_ID of the system."),
        "_extension_release": attr.label(default = "//tools/commands:extension_release", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
