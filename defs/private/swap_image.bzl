"""The rule swap_image."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:compression.bzl", "COMPRESS_ATTRS")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:identifiers.bzl", "SWAP_LABEL", "check_label", "check_uuid")
load("//defs/private:image_groups.bzl", "EXPORT_ATTRS", "GROUPS_DOC")
load("//defs/private:partition_image.bzl", "partition_providers")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:size.bzl", "parse_size")

_PAGE = 4096

def _swap_image_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".img.tar")
    size = parse_size(ctx.attr.partition_size, "%s: partition_size" % ctx.label, _PAGE)
    spec = {
        "label": check_label(ctx.attr.label, "%s: label" % ctx.label, SWAP_LABEL),
        "member": ctx.label.name + ".img",
        "output": output,
        "size": size,
        "uuid": check_uuid(ctx.attr.uuid, "%s: uuid" % ctx.label),
    }
    command_action(ctx, "SwapImage", ctx.executable._swap_image, spec, [], [output])
    return partition_providers(ctx, output, size)

swap_image = rule(
    implementation = _swap_image_impl,
    doc = """A swap area of Linux, as `mkswap` makes it for machines with pages of 4096 bytes.

""" + GROUPS_DOC,
    attrs = COMPRESS_ATTRS | EXPORT_ATTRS | {
        "label": attr.string(doc = "Label of the area, at most 15 bytes."),
        "partition_size": attr.string(
            doc = "Size of the area, in bytes or with K, M, G or T for a power of 1024; a multiple of 4096 bytes.",
            mandatory = True,
        ),
        "uuid": attr.string(doc = "UUID of the area.", mandatory = True),
        "_swap_image": attr.label(default = "//tools/commands:swap_image", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    provides = [PartitionInfo],
)
