"""Compression of the payload data of partitions, once for each codec."""

CODECS = ["zst", "gz"]

def compression_resources(_os, _inputs):
    """Returns what Bazel reserves for an action that compresses, so that few of them run at once.

    Such an action has a thread for each processor, at most 16, and 192 MiB for them. More than one processor is reserved,
    but not all, since the action also waits for the disk.
    """
    return {"cpu": 4, "memory": 256}

COMPRESS_ATTRS = {
    "_compress": attr.label(default = "//tools/commands:compress", executable = True, cfg = "exec"),
}

def compressed_payloads(ctx, image):
    """Declares actions that compress the payload data of an image. Bazel runs them only if the outputs are requested.

    Args:
        ctx: of a rule with COMPRESS_ATTRS.
        image: File, a tar whose one member is a sparse file, named `NAME.img.tar`.

    Returns:
        Dict of codecs to Files.
    """
    payloads = {}
    for codec in CODECS:
        output = ctx.actions.declare_file(image.basename.removesuffix(".img.tar") + ".data." + codec)
        args = ctx.actions.args()
        args.add("--data")
        args.add(image, format = "--input=%s")
        args.add(output, format = "--output=%s")
        ctx.actions.run(
            arguments = [args],
            executable = ctx.executable._compress,
            execution_requirements = {"supports-path-mapping": "1"},
            inputs = [image],
            mnemonic = "CompressImage",
            outputs = [output],
            progress_message = "Compressing %{output}",
            resource_set = compression_resources,
        )
        payloads[codec] = output
    return payloads
