"""What an upgrade image hands on to the rules that use it."""

UpgradeImageInfo = provider(
    doc = "What a running system needs to upgrade itself.",
    fields = {
        "archive": "File: a tar with a manifest, the images of the boot and root partitions, and the version.",
        "compressed": "Dict of string to File: the same archive compressed, by the codec's name (`zst`, `gz`).",
    },
)
