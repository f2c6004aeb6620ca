"""What an image of a partition hands on to the rules that use it."""

PartitionInfo = provider(
    doc = "The image of a partition: parts at offsets, none of which is copied before a disk or upgrade image is written.",
    fields = {
        "parts": """List of struct: what stands where in the partition.

            - `offset`: int, in bytes.
            - `image`: File, a tar whose one member is a sparse file.
            - `payloads`: dict of string to File, the data of `image` compressed, by the codec's name (`zst`, `gz`).""",
        "size": "Int: size of the file system, in bytes. The hash tree that stands after it with `verity` is not counted.",
        "verity": "VerityInfo of the image, or None.",
    },
)
