"""The rule verity_hash_image."""

load("//defs/private:compression.bzl", "COMPRESS_ATTRS")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:hash_tree.bzl", "HASH_TREE_ATTRS", "hash_tree")
load("//defs/private:image_groups.bzl", "EXPORT_ATTRS", "GROUPS_DOC")
load("//defs/private:partition_image.bzl", "partition_providers")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:verity_info.bzl", "VerityInfo")

def _verity_hash_image_impl(ctx):
    hashes = ctx.actions.declare_file(ctx.label.name + ".img.tar")
    root_hash, hash_digests = hash_tree(ctx, ctx.attr.src[PartitionInfo], hashes)
    verity = VerityInfo(hash_offset = 0, root_hash = root_hash)
    return partition_providers(ctx, hashes, None, digests = hash_digests, groups = {"root_hash": depset([root_hash])}) + [verity]

verity_hash_image = rule(
    implementation = _verity_hash_image_impl,
    doc = """A dm-verity hash tree as a partition of its own, beside that of the file system, which may be as large as its files need.

So systemd expects it: a partition of the type `root-ARCH` or `usr-ARCH`, and one of the same type with `-verity` (see
[partitions.csv](../partitions.md#verity-as-systemd-opens-it)).

The output group `root_hash` has the root hash alone.

""" + GROUPS_DOC,
    attrs = COMPRESS_ATTRS | EXPORT_ATTRS | HASH_TREE_ATTRS | {
        "src": attr.label(
            doc = "The file system, such as an erofs_image, which has a partition of its own.",
            mandatory = True,
            providers = [PartitionInfo],
        ),
    },
    exec_compatible_with = LINUX,
    provides = [PartitionInfo, VerityInfo],
)
