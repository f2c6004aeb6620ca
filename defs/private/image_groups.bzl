"""The output groups that all image rules have: other forms of the image, and lists of its files."""

load("//defs/private:archive_outputs.bzl", "part_specs")
load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:resources.bzl", "threaded_resources")

EXPORT_ATTRS = {
    "_image_export": attr.label(default = "//tools/commands:image_export", executable = True, cfg = "exec"),
}

GROUPS_DOC = """Output groups: `raw` has the image as a raw file, `NAME.raw`; its holes are zeros to Bazel, which hashes and
caches them. `zst` and `gz` have the image in a compressed tar. `mtree` has a list of its files in the form of mtree(5), and
`sbom` bills of materials, `NAME.spdx.json` (SPDX 2.3) and `NAME.cdx.json` (CycloneDX 1.6), where it has files."""

def export_image(ctx, suffix, parts, codec = None, member = ".img"):
    """Declares the action that writes an image in another form; Bazel runs it only if the output is requested.

    Args:
        ctx: of a rule with EXPORT_ATTRS.
        suffix: of the output, which says the form: `.raw`, `.img.tar`, `.img.tar.zst`, `.img.tar.gz` or `.mtree`.
        parts: list of structs, as in PartitionInfo.
        codec: name of the codec whose compressed data is taken over, or None.
        member: suffix of the image's name in a tar.

    Returns:
        The output File.
    """
    output = ctx.actions.declare_file(ctx.label.name + suffix)
    specs, inputs = part_specs(struct(parts = parts), codec)
    spec = {"member": ctx.label.name + member, "output": output, "parts": specs}
    resources = threaded_resources if codec else None
    command_action(ctx, "ImageExport", ctx.executable._image_export, spec, inputs, [output], resources = resources)
    return output

def tar_of_recipe(ctx, recipe, sources, name):
    """Declares the action that writes the image of a recipe as a tar, as the command that made the recipe would have done.

    Args:
        ctx: of a rule with EXPORT_ATTRS.
        recipe: File, the recipe.
        sources: list of Files that it has ranges of.
        name: of the image, after that of the target: `.img`.

    Returns:
        The output File.
    """
    part = struct(image = None, offset = 0, recipe = recipe, sources = sources)
    return export_image(ctx, name + ".tar", [part], member = name)

def partition_groups(ctx, parts, listing = None, sbom = None):
    """Returns the output groups of the image of a partition, for OutputGroupInfo.

    Args:
        ctx: of a rule with EXPORT_ATTRS.
        parts: list of structs, as in PartitionInfo.
        listing: File, the list of its files, or None.
        sbom: depset of its bills of materials, or None.
    """
    return {
        "gz": depset([export_image(ctx, ".img.tar.gz", parts, "gz")]),
        "mtree": depset([listing] if listing else []),
        "raw": depset([export_image(ctx, ".raw", parts)]),
        "sbom": sbom or depset(),
        "zst": depset([export_image(ctx, ".img.tar.zst", parts, "zst")]),
    }

def archive_groups(outputs, partitions, sbom):
    """Returns the output groups of an archive of images besides `raw`, for OutputGroupInfo.

    Args:
        outputs: dict of formats to Files, from `write_archives`.
        partitions: list of PartitionInfo.
        sbom: depset of its bills of materials, or None.
    """
    listings = [getattr(partition, "listing", None) for partition in partitions]
    return {
        "gz": depset([outputs["gz"]]),
        "mtree": depset([listing for listing in listings if listing]),
        "sbom": sbom or depset(),
        "zst": depset([outputs["zst"]]),
    }
