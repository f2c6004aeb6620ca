"""Images of partitions: file systems, file systems with a dm-verity hash tree, swap areas, and files as they are.

An example. From [examples/data-disk/BUILD.bazel](../../examples/data-disk/BUILD.bazel):

```starlark
# UUIDs are explicit, so that the build is reproducible.
ext4_image(
    name = "data",
    src = ":tree",
    journal = True,
    label = "data",
    partition_size = "32M",
    uuid = "8d3f0a52-1c9e-4c41-9a38-6d0f2e1b7a01",
)

vfat_image(
    name = "exchange",
    extra_files = {"files/readme.txt": "README.TXT"},
    label = "EXCHANGE",
    partition_size = "16M",
    volume_id = "8D3F-0A52",
)
```

From [tests/e2e/consumer/BUILD.bazel](../../tests/e2e/consumer/BUILD.bazel):

```starlark
verity_image(
    name = "root",
    src = ":root_fs",
    salt = "0c9b",
    uuid = _UUID,
)

# Read-only, and as large as its files need.
erofs_image(
    name = "application",
    src = ":tree",
    label = "application",
    uuid = _UUID,
)

# Read-only and compressed.
squashfs_image(
    name = "manual",
    src = ":tree",
    block_size = "256K",
    partition_size = "1M",
)

# A hash tree in a partition of its own, and the signature of its root hash, by which systemd opens it.
verity_hash_image(
    name = "application_hashes",
    src = ":application",
    salt = "0c9b",
    uuid = _UUID,
)

verity_signature_image(
    name = "application_signature",
    src = ":application_hashes",
    certificate = "test-only-verity.pem",
    key = "test-only-verity.key.pem",
)

# A file as it is, and a swap area.
raw_partition(
    name = "notes",
    src = "motd.txt",
    partition_size = "1M",
)

swap_image(
    name = "swap",
    label = "swap",
    partition_size = "4M",
    uuid = _UUID,
)
```

| file system | for |
|---|---|
| ext4 | data that is written, `/boot` that GRUB reads, and roots of older kernels |
| EROFS | what is only read: no free space, no journal; the root or an application, alone or below `verity_image` |
| SquashFS | what is only read, and as small as it can be: media for installation, extensions, small machines |
| FAT | the EFI system partition, and data that any system reads |

EROFS or SquashFS? EROFS has data at whole blocks, which are read as they are, without work and memory for it; archives and
update images with it are compressed anyway, once. SquashFS packs compressed blocks one after the other: less space on the
machine's own disk, and a read of 4 KiB unpacks a block of 128 KiB.
"""

load("//defs/private:erofs_image.bzl", _erofs_image = "erofs_image")
load("//defs/private:ext4_image.bzl", _ext4_image = "ext4_image")
load("//defs/private:partition_info.bzl", _PartitionInfo = "PartitionInfo")
load("//defs/private:raw_partition.bzl", _raw_partition = "raw_partition")
load("//defs/private:squashfs_image.bzl", _squashfs_image = "squashfs_image")
load("//defs/private:swap_image.bzl", _swap_image = "swap_image")
load("//defs/private:verity_hash_image.bzl", _verity_hash_image = "verity_hash_image")
load("//defs/private:verity_image.bzl", _verity_image = "verity_image")
load("//defs/private:verity_info.bzl", _VerityInfo = "VerityInfo")
load("//defs/private:verity_signature_image.bzl", _verity_signature_image = "verity_signature_image")
load("//defs/private:vfat_image.bzl", _vfat_image = "vfat_image")

PartitionInfo = _PartitionInfo
VerityInfo = _VerityInfo
erofs_image = _erofs_image
ext4_image = _ext4_image
raw_partition = _raw_partition
squashfs_image = _squashfs_image
swap_image = _swap_image
verity_hash_image = _verity_hash_image
verity_image = _verity_image
verity_signature_image = _verity_signature_image
vfat_image = _vfat_image
