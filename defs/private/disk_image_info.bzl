"""The provider of disk images."""

DiskImageInfo = provider(
    doc = "The image of a whole disk.",
    fields = {
        "archive": "File: a tar whose one member, `disk.img`, is a sparse file.",
        "compressed": "Dict of string to File: the same archive compressed, by the codec's name (`zst`, `gz`).",
        "contents": "Dict of names of partitions to their root trees, from `image_contents` of sbom.bzl.",
        "layout": "File: the partitions, as CSV.",
    },
)
