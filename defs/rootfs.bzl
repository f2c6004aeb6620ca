"""Root trees: the files of a root file system, before an image is written."""

load("//defs/private:rootfs_info.bzl", _RootfsInfo = "RootfsInfo")
load("//defs/private:rootfs_tree.bzl", _rootfs_tree = "rootfs_tree")

RootfsInfo = _RootfsInfo
rootfs_tree = _rootfs_tree
