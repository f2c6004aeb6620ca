"""The provider of images with a dm-verity hash tree."""

VerityInfo = provider(
    doc = "The hash tree of a partition's image.",
    fields = {
        "hash_offset": "Int: offset of the hash tree's superblock in the partition, in bytes.",
        "root_hash": "File: the root hash, in hexadecimal digits.",
    },
)
