"""What the rules that write archives of images have in common: a plain tar, and compressed ones made of pieces."""

load("//defs/private:json_spec.bzl", "json_spec")

ARCHIVE_ATTRS = {
    "gz": attr.output(doc = "The archive compressed with gzip.", mandatory = True),
    "tar": attr.output(doc = "The archive.", mandatory = True),
    "zst": attr.output(doc = "The archive compressed with zstd.", mandatory = True),
}

def part_specs(partition, codec):
    """Returns the parts of a partition as tools' specifications have them, and the files that they name.

    Args:
        partition: PartitionInfo.
        codec: whose compressed data to hand over; None for the images alone.
    """
    specs, inputs = [], []
    for part in partition.parts:
        spec = {"image": part.image, "offset": part.offset}
        inputs.append(part.image)
        if codec:
            spec[codec] = part.payloads[codec]
            inputs.append(part.payloads[codec])
        specs.append(spec)
    return specs, inputs

def write_archives(ctx, tool, mnemonic, describe):
    """Declares an action for each format; each is run only where its output is asked for.

    Args:
        ctx: of a rule with ARCHIVE_ATTRS.
        tool: executable that takes a specification.
        mnemonic: of the actions.
        describe: function of a codec, or None for the plain tar, that returns the specification, but for its outputs,
            and the list of inputs.

    Returns:
        Dict of string to File: the outputs by format, `tar`, `zst` and `gz`.
    """
    outputs = {"gz": ctx.outputs.gz, "tar": ctx.outputs.tar, "zst": ctx.outputs.zst}
    for format, output in outputs.items():
        spec, inputs = describe(None if format == "tar" else format)
        ctx.actions.run(
            arguments = [json_spec(ctx, "--spec", spec | {"output_" + format: output})],
            executable = tool,
            execution_requirements = {"supports-path-mapping": "1"},
            inputs = inputs,
            mnemonic = mnemonic,
            outputs = [output],
            progress_message = "Building %{output}",
        )
    return outputs
