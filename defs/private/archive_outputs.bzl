"""The outputs of the rules that write archives of images: a plain tar, compressed ones, and a checksum of each."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:part_image.bzl", "image_files")
load("//defs/private:resources.bzl", "threaded_resources")

ARCHIVE_ATTRS = {
    "gz": attr.output(doc = "The archive compressed with gzip.", mandatory = True),
    "gz_sha256": attr.output(doc = "The SHA-256 of `gz`; it has that name and `.sha256`.", mandatory = True),
    "tar": attr.output(doc = "The archive.", mandatory = True),
    "tar_sha256": attr.output(doc = "The SHA-256 of `tar`; it has that name and `.sha256`.", mandatory = True),
    "zst": attr.output(doc = "The archive compressed with zstd.", mandatory = True),
    "zst_sha256": attr.output(doc = "The SHA-256 of `zst`; it has that name and `.sha256`.", mandatory = True),
}

def part_specs(partition, codec, with_digests = False):
    """Returns the parts of a partition for the JSON spec of a tool, and the files that they name.

    Args:
        partition: PartitionInfo.
        codec: name of the codec whose compressed data the tool needs; None if it needs the images only.
        with_digests: whether the tool takes the digests of the images' pieces.
    """
    specs, inputs = [], []
    for part in partition.parts:
        image, sources = image_files(part)
        spec = {"image": image, "offset": part.offset, "sources": sources or None}
        inputs += [image] + sources
        if codec:
            payload_sources = getattr(part, "payload_sources", {}).get(codec, [])
            spec |= {codec: part.payloads[codec], codec + "_sources": payload_sources or None}
            inputs += [part.payloads[codec]] + payload_sources
        if with_digests and getattr(part, "digests", None):
            spec["digests"] = part.digests
            inputs.append(part.digests)
        specs.append(spec)
    return specs, inputs

def write_archives(ctx, tool, mnemonic, describe):
    """Declares an action for each format, which also writes the checksum. Bazel runs it only if one of them is requested.

    Args:
        ctx: of a rule with ARCHIVE_ATTRS.
        tool: executable that reads a JSON spec.
        mnemonic: of the actions.
        describe: function that takes the name of a codec, or None for the plain tar, and returns the spec without its
            outputs, and the list of inputs.

    Returns:
        Dict of formats (`tar`, `zst`, `gz`) to output Files, and the depset of all files that are written.
    """
    outputs = {"gz": ctx.outputs.gz, "tar": ctx.outputs.tar, "zst": ctx.outputs.zst}
    checksums = {"gz": ctx.outputs.gz_sha256, "tar": ctx.outputs.tar_sha256, "zst": ctx.outputs.zst_sha256}
    for format, output in outputs.items():
        spec, inputs = describe(None if format == "tar" else format)
        spec |= {"output_" + format: output, "sha256": True}
        resources = None if format == "tar" else threaded_resources
        command_action(ctx, mnemonic, tool, spec, inputs, [output, checksums[format]], resources = resources)
    return outputs, depset(outputs.values() + checksums.values())
