"""Trees of files, before they are in any file system."""

load("//defs/private:rootfs_info.bzl", _RootfsInfo = "RootfsInfo")
load("//defs/private:rootfs_tree.bzl", _rootfs_tree = "rootfs_tree")

RootfsInfo = _RootfsInfo
rootfs_tree = _rootfs_tree
