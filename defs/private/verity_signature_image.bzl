"""The rule verity_signature_image."""

load("//defs/private:compression.bzl", "COMPRESS_ATTRS")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:image_groups.bzl", "EXPORT_ATTRS", "GROUPS_DOC")
load("//defs/private:partition_image.bzl", "partition_providers")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:signer.bzl", "SIGNER_ATTRS", "sign")
load("//defs/private:size.bzl", "parse_size")
load("//defs/private:verity_info.bzl", "VerityInfo")

_SIZE_UNIT = 4096

def _verity_signature_image_impl(ctx):
    size_attribute = "%s: partition_size" % ctx.label
    size = parse_size(ctx.attr.partition_size, size_attribute, _SIZE_UNIT)
    output = ctx.actions.declare_file(ctx.label.name + ".img.tar")
    to_sign = sign(
        ctx,
        "VeritySignatureImage",
        "VerityToSign",
        ctx.executable._verity_signature_image,
        {"root_hash_file": ctx.attr.src[VerityInfo].root_hash},
        output,
        member = ctx.label.name + ".img",
        size = str(size),
        size_attribute = size_attribute,
    )
    return partition_providers(ctx, output, size, groups = {"to_sign": depset([to_sign])})

verity_signature_image = rule(
    implementation = _verity_signature_image_impl,
    doc = """The signature of a dm-verity root hash as a partition, by which systemd opens the volume without being told the root hash.

The partition's type is that of the file system's with `-verity-sig` (see
[partitions.csv](../partitions.md#verity-as-systemd-opens-it)). systemd verifies the signature by the kernel's keyring, or
by the certificates in `/etc/verity.d` and `/usr/lib/verity.d`, whose files end in `.crt`. The content is the JSON object of the
[Discoverable Partitions Specification](https://uapi-group.org/specifications/specs/discoverable_partitions_specification/#verity):
the same bytes as systemd-repart makes of the same root hash and key.

If the private key must not be on the build machine, sign elsewhere: the output group `to_sign` is the file to sign, and
`signature` takes what `openssl dgst -sha256 -sign KEY.pem -out SIGNATURE NAME.to_sign`, or a hardware module, makes of it.

""" + GROUPS_DOC,
    attrs = COMPRESS_ATTRS | EXPORT_ATTRS | SIGNER_ATTRS | {
        "certificate": attr.label(
            allow_single_file = [".pem"],
            doc = "The certificate of the key, as PEM; it is in the partition, too.",
            mandatory = True,
        ),
        "partition_size": attr.string(
            default = "16K",
            doc = "Size of the partition, in bytes or with K, M or G for a power of 1024; a multiple of 4096 bytes, at " +
                  "most 4M. By default that of systemd-repart.",
        ),
        "src": attr.label(
            doc = "What has the root hash: a verity_hash_image, or a verity_image.",
            mandatory = True,
            providers = [VerityInfo],
        ),
        "_verity_signature_image": attr.label(default = "//tools/commands:verity_signature_image", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    provides = [PartitionInfo],
)
