"""Root trees: the files of a root file system, before an image is written.

An example. From [examples/data-disk/BUILD.bazel](../../examples/data-disk/BUILD.bazel):

```starlark
# What goes where, in the words of rules_pkg.
pkg_files(
    name = "users",
    srcs = ["files/users.json"],
    attributes = pkg_attributes(
        gid = 1000,
        mode = "0640",
        uid = 1000,
    ),
    prefix = "accounts/2025",
)

pkg_mklink(
    name = "current",
    link_name = "accounts/current",
    target = "2025",
)

rootfs_tree(
    name = "tree",
    srcs = [
        ":current",
        ":inbox",
        ":users",
    ],
)
```
"""

load("//defs/private:rootfs_info.bzl", _RootfsInfo = "RootfsInfo")
load("//defs/private:rootfs_tree.bzl", _rootfs_tree = "rootfs_tree")

RootfsInfo = _RootfsInfo
rootfs_tree = _rootfs_tree
