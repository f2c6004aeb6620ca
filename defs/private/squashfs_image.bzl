"""The rule squashfs_image."""

load("//defs/private:compression.bzl", "COMPRESS_ATTRS")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:image_groups.bzl", "GROUPS_DOC")
load("//defs/private:partition_image.bzl", "CONTEXTS_ATTRS", "TREE_ATTRS", "partition_image")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:resources.bzl", "threaded_resources")
load("//defs/private:size.bzl", "parse_size")

_LEVELS = {"gzip": 12, "none": 0, "zstd": 22}
_LEAST_BLOCK = 4 << 10
_LARGEST_BLOCK = 1 << 20
_SIZE_UNIT = 4096

def _squashfs_image_impl(ctx):
    block_size = parse_size(ctx.attr.block_size, "%s: block_size" % ctx.label)
    if block_size < _LEAST_BLOCK or block_size > _LARGEST_BLOCK or block_size & (block_size - 1):
        fail("%s: block_size: %r is no power of 2 from 4K to 1M" % (ctx.label, ctx.attr.block_size))
    most = _LEVELS[ctx.attr.compression]
    if ctx.attr.compression_level < 0 or ctx.attr.compression_level > most:
        fail("%s: compression_level: must be from 1 to %d for %s, or 0 for its default, not %d" %
             (ctx.label, most, ctx.attr.compression, ctx.attr.compression_level) if most else "%s: compression_level: there are no levels without compression; leave it out" % ctx.label)
    return partition_image(
        ctx,
        tool = ctx.executable._squashfs_image,
        mnemonic = "SquashfsImage",
        parameters = {
            "block_size": block_size,
            "compression": ctx.attr.compression,
            "file_contexts": ctx.files.file_contexts,
            "file_contexts_subs": ctx.file.file_contexts_subs,
            "level": ctx.attr.compression_level or None,
        },
        inputs = ctx.files.file_contexts + ctx.files.file_contexts_subs,
        resources = threaded_resources,
        sized = False,
        unit = _SIZE_UNIT,
    )

squashfs_image = rule(
    implementation = _squashfs_image_impl,
    doc = """The image of a SquashFS file system, as a tar whose one member is a sparse file.

SquashFS is read-only, and compressed: blocks of files, and those of metadata, each by itself. Files with the same content
are stored once, the ends of files share blocks, and blocks of zeros take no space. It has no UUID and no label: a
partition is found by its own. Times are whole seconds from 1970 to 2106. Linux mounts it since 2.6.29, with zstd since
4.14; a root needs `squashfs` in `modules` of `initramfs`. GRUB reads it with gzip, and not with zstd.

The image is the same for any number of processors.

""" + GROUPS_DOC,
    attrs = TREE_ATTRS | COMPRESS_ATTRS | CONTEXTS_ATTRS | {
        "block_size": attr.string(
            default = "128K",
            doc = "What is compressed by itself: a power of 2 from 4K to 1M. Larger blocks make a smaller image, and a read of " +
                  "a few bytes of a file slower, since it unpacks a block.",
        ),
        "compression": attr.string(
            default = "zstd",
            doc = "`zstd`, `gzip`, or `none`, for what is compressed as a whole afterwards.",
            values = ["zstd", "gzip", "none"],
        ),
        "compression_level": attr.int(
            doc = "Level of the compression: 1 to 22 for zstd, 15 by default; 1 to 12 for gzip, 9 by default.",
        ),
        "partition_size": attr.string(
            doc = "Size of the image, in bytes or with K, M, G or T for a power of 1024; a multiple of 4096 bytes. As large as " +
                  "the files need by default; verity_image needs it, since the hash tree stands after it.",
        ),
        "_squashfs_image": attr.label(default = "//tools/commands:squashfs_image", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    provides = [PartitionInfo],
)
