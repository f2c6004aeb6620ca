"""The provider of update images."""

UpgradeImageInfo = provider(
    doc = "An update image.",
    fields = {
        "archive": "File: a tar with a manifest, the images of the boot and root partitions, and the version.",
        "compressed": "Dict of string to File: the same archive compressed, by the codec's name (`zst`, `gz`).",
        "contents": "Dict of `boot.img` and `root.img` to their root trees, from `image_contents` of sbom.bzl; without those that have none.",
    },
)
