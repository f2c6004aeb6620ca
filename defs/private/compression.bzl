"""Compression of the payload data of partitions, once for each codec."""

load("//defs/private:command_action.bzl", "WORKER_REQUIREMENTS", "command_args")
load("//defs/private:resources.bzl", "threaded_resources")

CODECS = ["zst", "gz"]

COMPRESS_ATTRS = {
    "_compress": attr.label(default = "//tools/commands:compress", executable = True, cfg = "exec"),
}

def compressed_payloads(ctx, image, digests = None):
    """Declares actions that compress the payload data of an image. Bazel runs them only if the outputs are requested.

    Args:
        ctx: of a rule with COMPRESS_ATTRS.
        image: File, a tar whose one member is a sparse file, named `NAME.img.tar`.
        digests: File with the SHA-256 of each MiB of the image, by which a worker knows what it has compressed before;
            None if there is none.

    Returns:
        Dict of codecs to Files.
    """
    payloads = {}
    for codec in CODECS:
        output = ctx.actions.declare_file(image.basename.removesuffix(".img.tar") + ".data." + codec)
        args = command_args(ctx)
        args.add("--data")
        args.add(image, format = "--input=%s")
        args.add(output, format = "--output=%s")
        if digests:
            args.add(digests, format = "--digests=%s")
        ctx.actions.run(
            arguments = [args],
            executable = ctx.executable._compress,
            execution_requirements = WORKER_REQUIREMENTS,
            inputs = [image] + ([digests] if digests else []),
            mnemonic = "CompressImage",
            outputs = [output],
            progress_message = "Compressing %{output}",
            resource_set = threaded_resources,
        )
        payloads[codec] = output
    return payloads
