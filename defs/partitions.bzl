"""Images of partitions: file systems, and file systems with a dm-verity hash tree."""

load("//defs/private:ext4_image.bzl", _ext4_image = "ext4_image")
load("//defs/private:partition_info.bzl", _PartitionInfo = "PartitionInfo")
load("//defs/private:verity_image.bzl", _verity_image = "verity_image")
load("//defs/private:verity_info.bzl", _VerityInfo = "VerityInfo")
load("//defs/private:vfat_image.bzl", _vfat_image = "vfat_image")

PartitionInfo = _PartitionInfo
VerityInfo = _VerityInfo
ext4_image = _ext4_image
verity_image = _verity_image
vfat_image = _vfat_image
