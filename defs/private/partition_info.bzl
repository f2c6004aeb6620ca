"""The provider of partition images."""

PartitionInfo = provider(
    doc = "The image of a partition, as parts at offsets. The parts are copied only into disk and update images.",
    fields = {
        "contents": "Struct: the root tree in the partition, from `image_contents` of sbom.bzl, or None if it has no files.",
        "listing": "File: the list of its files in the form of mtree(5), or None if it has no files.",
        "parts": """List of structs, the parts of the partition:

            - `offset`: int, in bytes.
            - `digests`: File, the SHA-256 of each MiB of `image`, an output of the same action; None, or left out, if
              there is none.
            - `image`: File, a tar whose one member is a sparse file. If there is a recipe, it is made only where it is
              asked for.
            - `recipe`: File, a description of the image with ranges of other files, by which actions read it instead of
              `image`, as in `tools/image/recipe.py`; None, or left out, if there is none.
            - `sources`: list of Files that `recipe` has ranges of, in the order in which commands get them.
            - `payloads`: dict of codecs (`zst`, `gz`) to Files, the compressed data of `image`, or recipes of it.
            - `payload_sources`: dict of codecs to lists of Files that the recipes in `payloads` have ranges of. None for a
              codec, or left out, if there are no recipes.""",
        "size": "Int: size of the file system, in bytes. The hash tree that follows it with `verity` is not counted. None if it is as large as its files need.",
        "size_attribute": "String: what sets the size, for messages, such as `//app:disk: root_files_size`.",
        "verity": "VerityInfo of the image, or None.",
    },
)
