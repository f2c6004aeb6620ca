"""The rule ext4_image."""

load("//defs/private:compression.bzl", "COMPRESS_ATTRS")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:identifiers.bzl", "EXT4_LABEL", "check_label", "check_uuid")
load("//defs/private:image_groups.bzl", "GROUPS_DOC")
load("//defs/private:partition_image.bzl", "CONTEXTS_ATTRS", "TREE_ATTRS", "partition_image")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:rootfs_info.bzl", "RootfsInfo")

def _ext4_image_impl(ctx):
    return partition_image(
        ctx,
        tool = ctx.executable._ext4_image,
        mnemonic = "Ext4Image",
        parameters = {
            "block_size": ctx.attr.block_size,
            "file_contexts": ctx.files.file_contexts,
            "file_contexts_subs": ctx.file.file_contexts_subs,
            "hash_seed": check_uuid(ctx.attr.hash_seed, "%s: hash_seed" % ctx.label, optional = True) or None,
            "inode_ratio": ctx.attr.inode_ratio or None,
            "journal": ctx.attr.journal,
            "label": check_label(ctx.attr.label, "%s: label" % ctx.label, EXT4_LABEL) or None,
            "metadata_csum": ctx.attr.metadata_csum,
            "uuid": check_uuid(ctx.attr.uuid, "%s: uuid" % ctx.label),
        },
        inputs = ctx.files.file_contexts + ctx.files.file_contexts_subs,
        unit = ctx.attr.block_size,
        recipe = True,
    )

ext4_image = rule(
    implementation = _ext4_image_impl,
    doc = """The image of an ext4 file system, as a tar whose one member is a sparse file.

The tar is made only where it is asked for: other rules take a description of the image, and the contents of files from where
they are.

""" + GROUPS_DOC,
    attrs = TREE_ATTRS | COMPRESS_ATTRS | CONTEXTS_ATTRS | {
        "base": attr.label(
            doc = "A rootfs_tree with what of the tree changes less often than the rest. What an image of it has at the same " +
                  "places is compressed by actions that depend on it alone. The image itself doesn't depend on it. By " +
                  "default it is the lowest layer of `src`, if that is a tar.",
            providers = [RootfsInfo],
        ),
        "block_size": attr.int(default = 4096, doc = "Size of a block, in bytes: 1024, 2048 or 4096.", values = [1024, 2048, 4096]),
        "hash_seed": attr.string(doc = "UUID that seeds the directory hash; derived from `uuid` by default."),
        "inode_ratio": attr.int(doc = "Bytes of the file system for each inode; 16384 by default."),
        "journal": attr.bool(doc = "Whether there is a journal; a file system that is mounted read-only needs none."),
        "label": attr.string(doc = "Label of the volume, at most 16 bytes."),
        "metadata_csum": attr.bool(doc = "Whether metadata has checksums."),
        "partition_size": attr.string(
            doc = "Size of the file system, in bytes or with K, M, G or T for a power of 1024; a multiple of `block_size`.",
            mandatory = True,
        ),
        "uuid": attr.string(doc = "UUID of the file system.", mandatory = True),
        "_ext4_image": attr.label(default = "//tools/commands:ext4_image", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    provides = [PartitionInfo],
)
