"""The rule verity_image."""

load("//defs/private:command_action.bzl", "WORKER_REQUIREMENTS", "command_args")
load("//defs/private:compression.bzl", "COMPRESS_ATTRS", "compressed_payloads")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:image_groups.bzl", "EXPORT_ATTRS", "GROUPS_DOC", "partition_groups")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:sbom.bzl", "SBOM_ATTRS", "partition_contents", "sbom_outputs")
load("//defs/private:uuid.bzl", "check_uuid")
load("//defs/private:verity_info.bzl", "VerityInfo")

_BLOCK = 4096

def _verity_image_impl(ctx):
    source = ctx.attr.src[PartitionInfo]
    if len(source.parts) != 1 or source.parts[0].offset != 0:
        fail("%s: src: %s is made of %d parts; give the image of one file system" % (ctx.label, ctx.attr.src.label, len(source.parts)))
    if source.size == None:
        fail("%s: src: %s is as large as its files need; set its partition_size, after which the hash tree stands" % (ctx.label, ctx.attr.src.label))
    if source.size % _BLOCK:
        fail("%s: src: %s has %d bytes; choose a size in whole blocks of %d bytes" % (ctx.label, ctx.attr.src.label, source.size, _BLOCK))
    data = source.parts[0].image
    hashes = ctx.actions.declare_file(ctx.label.name + ".hashes.img.tar")
    root_hash = ctx.actions.declare_file(ctx.label.name + ".root_hash")
    args = command_args(ctx)
    args.add(data, format = "--input=%s")
    args.add(hashes, format = "--output=%s")
    args.add(root_hash, format = "--root_hash_file=%s")
    args.add(ctx.attr.salt, format = "--salt=%s")
    args.add(check_uuid(ctx.attr.uuid, "%s: uuid" % ctx.label), format = "--uuid=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._verity_image,
        execution_requirements = WORKER_REQUIREMENTS,
        inputs = [data],
        mnemonic = "VerityImage",
        outputs = [hashes, root_hash],
        progress_message = "Hashing %{input}",
    )
    verity = VerityInfo(hash_offset = source.size, root_hash = root_hash)
    parts = source.parts + [struct(image = hashes, offset = source.size, payloads = compressed_payloads(ctx, hashes))]
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

The outputs are the hash tree and the root hash; the file system is not copied.

The output group `root_hash` has the root hash alone.

""" + GROUPS_DOC,
    attrs = COMPRESS_ATTRS | EXPORT_ATTRS | SBOM_ATTRS | {
        "salt": attr.string(
            doc = "Up to 256 bytes, as hexadecimal digits, that are hashed before every block. Images of different " +
                  "products should have different salts.",
            mandatory = True,
        ),
        "src": attr.label(doc = "The file system, such as an ext4_image.", mandatory = True, providers = [PartitionInfo]),
        "uuid": attr.string(doc = "UUID of the hash tree.", mandatory = True),
        "_verity_image": attr.label(default = "//tools/commands:verity_image", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    provides = [PartitionInfo, VerityInfo],
)
