"""The rule vfat_image."""

load("//defs/private:compression.bzl", "COMPRESS_ATTRS")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:identifiers.bzl", "check_fat_label", "check_volume_id")
load("//defs/private:image_groups.bzl", "GROUPS_DOC")
load("//defs/private:partition_image.bzl", "TREE_ATTRS", "partition_image")
load("//defs/private:partition_info.bzl", "PartitionInfo")

def _vfat_image_impl(ctx):
    return partition_image(
        ctx,
        tool = ctx.executable._vfat_image,
        mnemonic = "VfatImage",
        parameters = {
            "label": check_fat_label(ctx.attr.label, "%s: label" % ctx.label) or None,
            "volume_id": check_volume_id(ctx.attr.volume_id, "%s: volume_id" % ctx.label),
        },
    )

vfat_image = rule(
    implementation = _vfat_image_impl,
    doc = """The image of a FAT file system, as a tar whose one member is a sparse file.

""" + GROUPS_DOC,
    attrs = TREE_ATTRS | COMPRESS_ATTRS | {
        "label": attr.string(doc = "Label of the volume, at most 11 characters."),
        "volume_id": attr.string(
            doc = "The volume's serial number: eight hexadecimal digits, optionally with a dash in the middle (12AB-34CD).",
            mandatory = True,
        ),
        "_vfat_image": attr.label(default = "//tools/commands:vfat_image", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    provides = [PartitionInfo],
)
