"""The rule erofs_image."""

load("//defs/private:compression.bzl", "COMPRESS_ATTRS")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:identifiers.bzl", "EROFS_LABEL", "check_label", "check_uuid")
load("//defs/private:image_groups.bzl", "GROUPS_DOC")
load("//defs/private:partition_image.bzl", "CONTEXTS_ATTRS", "TREE_ATTRS", "partition_image")
load("//defs/private:partition_info.bzl", "PartitionInfo")

_BLOCK = 4096

def _erofs_image_impl(ctx):
    return partition_image(
        ctx,
        tool = ctx.executable._erofs_image,
        mnemonic = "ErofsImage",
        parameters = {
            "file_contexts": ctx.files.file_contexts,
            "file_contexts_subs": ctx.file.file_contexts_subs,
            "label": check_label(ctx.attr.label, "%s: label" % ctx.label, EROFS_LABEL) or None,
            "uuid": check_uuid(ctx.attr.uuid, "%s: uuid" % ctx.label),
        },
        inputs = ctx.files.file_contexts + ctx.files.file_contexts_subs,
        sized = False,
        unit = _BLOCK,
    )

erofs_image = rule(
    implementation = _erofs_image_impl,
    doc = """The image of an EROFS file system, as a tar whose one member is a sparse file.

EROFS is read-only: it has no free space and no journal. Files are not compressed, so that they are read without work and
memory for it; `.zst` and `.gz` of the image compress them once, for the download. Linux mounts it since 5.4, and since 5.15
if files have large holes; a root needs `erofs` in `modules` of `initramfs`. GRUB 2.12 does not read it.

""" + GROUPS_DOC,
    attrs = TREE_ATTRS | COMPRESS_ATTRS | CONTEXTS_ATTRS | {
        "label": attr.string(doc = "Label of the volume, at most 15 bytes."),
        "partition_size": attr.string(
            doc = "Size of the file system, in bytes or with K, M, G or T for a power of 1024; a multiple of 4096 bytes. As " +
                  "large as the files need by default; verity_image needs it, since the hash tree stands after it.",
        ),
        "uuid": attr.string(doc = "UUID of the file system.", mandatory = True),
        "_erofs_image": attr.label(default = "//tools/commands:erofs_image", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    provides = [PartitionInfo],
)
