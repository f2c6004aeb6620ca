"""What an image with a dm-verity hash tree hands on to the rules that use it."""

VerityInfo = provider(
    doc = "The hash tree of a partition's image.",
    fields = {
        "hash_offset": "Int: where the superblock of the tree stands in the partition, in bytes.",
        "root_hash": "File: the root hash, in hexadecimal digits.",
    },
)
