"""The rule verity_image."""

load("//defs/private:compression.bzl", "COMPRESS_ATTRS", "compressed_part")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:hash_tree.bzl", "HASH_TREE_ATTRS", "hash_tree")
load("//defs/private:image_groups.bzl", "EXPORT_ATTRS", "GROUPS_DOC", "partition_groups", "tar_of_recipe")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:sbom.bzl", "SBOM_ATTRS", "partition_contents", "sbom_outputs")
load("//defs/private:verity_info.bzl", "VerityInfo")

def _verity_image_impl(ctx):
    source = ctx.attr.src[PartitionInfo]
    recipe = ctx.actions.declare_file(ctx.label.name + ".hashes.img.recipe")
    root_hash, hash_digests = hash_tree(ctx, source, recipe, recipe = True)
    hashes = tar_of_recipe(ctx, recipe, [], ".hashes.img")
    if source.size == None:
        fail("%s: src: %s is as large as its files need; set its partition_size, after which the hash tree stands" % (ctx.label, ctx.attr.src.label))
    verity = VerityInfo(hash_offset = source.size, root_hash = root_hash)
    parts = source.parts + [compressed_part(ctx, hashes, hash_digests, source.size, recipe)]
    contents = partition_contents(source, "")
    listing = getattr(source, "listing", None)
    sbom = sbom_outputs(ctx, contents) if contents else None
    return [
        DefaultInfo(files = depset([hashes, root_hash])),
        OutputGroupInfo(root_hash = depset([root_hash]), **partition_groups(ctx, parts, listing, sbom)),
        PartitionInfo(
            contents = getattr(source, "contents", None),
            listing = listing,
            parts = parts,
            size = source.size,
            size_attribute = getattr(source, "size_attribute", None),
            verity = verity,
        ),
        verity,
    ]

verity_image = rule(
    implementation = _verity_image_impl,
    doc = """The image of a partition that dm-verity protects: a file system, followed by its hash tree.

The outputs are the hash tree, as a tar, and the root hash; the file system is not copied. If the hash tree is to be in a partition of
its own, as systemd expects it, take `verity_hash_image`.

The output group `root_hash` has the root hash alone.

""" + GROUPS_DOC,
    attrs = COMPRESS_ATTRS | EXPORT_ATTRS | HASH_TREE_ATTRS | SBOM_ATTRS | {
        "src": attr.label(doc = "The file system, such as an ext4_image.", mandatory = True, providers = [PartitionInfo]),
    },
    exec_compatible_with = LINUX,
    provides = [PartitionInfo, VerityInfo],
)
