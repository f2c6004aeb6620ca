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
| FAT | the EFI system partition, and data that any system reads |

There is no squashfs. It packs the data of files one after the other, at no block of the disk, and compresses it in units of
up to 1 MiB, so that a read of 4 KiB unpacks a unit. EROFS has data at whole blocks, which are read as they are, and needs
no choice of a compressor: archives and update images are compressed anyway.
"""

load("//defs/private:erofs_image.bzl", _erofs_image = "erofs_image")
load("//defs/private:ext4_image.bzl", _ext4_image = "ext4_image")
load("//defs/private:partition_info.bzl", _PartitionInfo = "PartitionInfo")
load("//defs/private:raw_partition.bzl", _raw_partition = "raw_partition")
load("//defs/private:swap_image.bzl", _swap_image = "swap_image")
load("//defs/private:verity_image.bzl", _verity_image = "verity_image")
load("//defs/private:verity_info.bzl", _VerityInfo = "VerityInfo")
load("//defs/private:vfat_image.bzl", _vfat_image = "vfat_image")

PartitionInfo = _PartitionInfo
VerityInfo = _VerityInfo
erofs_image = _erofs_image
ext4_image = _ext4_image
raw_partition = _raw_partition
swap_image = _swap_image
verity_image = _verity_image
vfat_image = _vfat_image
