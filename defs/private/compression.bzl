"""Compression of the payload data of partitions, once for each codec."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:part_image.bzl", "image_files")
load("//defs/private:resources.bzl", "threaded_resources")

CODECS = ["zst", "gz"]

COMPRESS_ATTRS = {
    "_compress": attr.label(default = "//tools/commands:compress", executable = True, cfg = "exec"),
}

def _compress(ctx, part, output, base = None, base_data = None):
    """Declares the action that compresses the data of a part, as in PartitionInfo.

    It compresses over that of another part, `base`, if given; `base_data` is the File with the latter's compressed data.
    """
    image, sources = image_files(part)
    spec = {"data": True, "digests": part.digests, "input": image, "output": output, "source": sources or None}
    inputs = [image] + sources + ([part.digests] if part.digests else [])
    if base:
        base_image, base_sources = image_files(base)
        spec["base"] = {"data": base_data, "digests": base.digests, "image": base_image, "sources": base_sources or None}
        inputs += [base_image, base.digests, base_data] + base_sources
    command_action(ctx, "CompressImage", ctx.executable._compress, spec, inputs, [output], "Compressing %{output}", resources = threaded_resources)

def compressed_part(ctx, image, digests = None, offset = 0, recipe = None, sources = [], base = None):
    """Declares actions that compress the payload data of an image. Bazel runs them only if the outputs are requested.

    Args:
        ctx: of a rule with COMPRESS_ATTRS.
        image: File, a tar whose one member is a sparse file, named `NAME.img.tar`.
        digests: File with the SHA-256 of each MiB of the image, by which a worker knows what it has compressed before;
            None if there is none.
        offset: of the image in its partition, in bytes.
        recipe: File, the recipe of the image, or None.
        sources: list of Files that the recipe has ranges of.
        base: struct with the digests, recipe and sources of an image with much of the same data, which changes less often:
            what is the same is compressed by an action that depends on it alone. None if there is none.

    Returns:
        Struct, a part of a partition, as in PartitionInfo.
    """
    name = image.basename.removesuffix(".img.tar")
    part = struct(digests = digests, image = image, recipe = recipe, sources = sources)
    payloads, payload_sources = {}, {}
    for codec in CODECS:
        if base:
            base_data = ctx.actions.declare_file("%s.base.data.%s" % (name, codec))
            _compress(ctx, base, base_data)
            payloads[codec] = ctx.actions.declare_file("%s.data.%s.recipe" % (name, codec))
            payload_sources[codec] = [base_data]
            _compress(ctx, part, payloads[codec], base, base_data)
        else:
            payloads[codec] = ctx.actions.declare_file("%s.data.%s" % (name, codec))
            _compress(ctx, part, payloads[codec])
    return struct(
        digests = digests,
        image = image,
        offset = offset,
        payload_sources = payload_sources,
        payloads = payloads,
        recipe = recipe,
        sources = sources,
    )
