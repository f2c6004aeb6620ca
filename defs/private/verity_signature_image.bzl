"""The rule verity_signature_image."""

load("//defs/private:command_action.bzl", "PROCESS_REQUIREMENTS", "SIGNING_REQUIREMENTS", "command_action")
load("//defs/private:compression.bzl", "COMPRESS_ATTRS")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:image_groups.bzl", "EXPORT_ATTRS", "GROUPS_DOC")
load("//defs/private:json_spec.bzl", "command_args")
load("//defs/private:partition_image.bzl", "partition_providers")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:size.bzl", "parse_size")
load("//defs/private:verity_info.bzl", "VerityInfo")

_SIZE_UNIT = 4096

def _verity_signature_image_impl(ctx):
    if bool(ctx.file.key) == bool(ctx.file.signature):
        fail("%s: key, signature: exclude each other; give one of them" % ctx.label)
    size_attribute = "%s: partition_size" % ctx.label
    size = parse_size(ctx.attr.partition_size, size_attribute, _SIZE_UNIT)
    output = ctx.actions.declare_file(ctx.label.name + ".img.tar")
    root_hash = ctx.attr.src[VerityInfo].root_hash
    args = command_args(
        ctx,
        certificate = ctx.file.certificate,
        key = ctx.file.key,
        member = ctx.label.name + ".img",
        output = output,
        root_hash_file = root_hash,
        signature = ctx.file.signature,
        size = str(size),
        size_attribute = size_attribute,
    )
    inputs = [root_hash] + ctx.files.key + ctx.files.signature + ctx.files.certificate
    command_action(ctx, "VeritySignatureImage", ctx.executable._verity_signature_image, args, inputs, [output], "Signing %{output}", SIGNING_REQUIREMENTS)
    to_sign = ctx.actions.declare_file(ctx.label.name + ".to_sign")
    args = command_args(ctx, root_hash_file = root_hash, to_sign_output = to_sign)
    command_action(ctx, "VerityToSign", ctx.executable._verity_signature_image, args, [root_hash], [to_sign], "Writing %{output}", PROCESS_REQUIREMENTS)
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
    attrs = COMPRESS_ATTRS | EXPORT_ATTRS | {
        "certificate": attr.label(
            allow_single_file = [".pem"],
            doc = "The certificate of the key, as PEM; it is in the partition, too.",
            mandatory = True,
        ),
        "key": attr.label(
            allow_single_file = [".pem"],
            doc = """The private key that signs: RSA with 2048 bits or more, as PEM.

            The action that uses it runs on the local machine, never on a remote executor.""",
        ),
        "partition_size": attr.string(
            default = "16K",
            doc = "Size of the partition, in bytes or with K, M or G for a power of 1024; a multiple of 4096 bytes, at " +
                  "most 4M. By default that of systemd-repart.",
        ),
        "signature": attr.label(
            allow_single_file = True,
            doc = "A signature of the output group `to_sign` that was made elsewhere, instead of `key`.",
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
