"""Root trees: the files of a root file system, before an image is written.

An example. From [examples/data-disk/BUILD.bazel](../../examples/data-disk/BUILD.bazel):

```starlark
# The files and their paths, with rules_pkg.
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

A file without a stated mode has 0755 if it is a program: the executable of a target such as a cc_binary, also in a
filegroup or in pkg_files. Any other file has 0644, scripts among source files too: Bazel gives all outputs of actions the
same mode, so modes on the build machine say nothing, and source files are treated alike.

A bill of materials in the image. From
[examples/minimal-appliance/BUILD.bazel](../../examples/minimal-appliance/BUILD.bazel):

```starlark
rootfs_sbom(
    name = "sbom.spdx.json",
    src = ":packages",
    files = False,
    image_name = "minimal-appliance",
)
```
"""

load("//defs/private:rootfs_info.bzl", _RootfsInfo = "RootfsInfo")
load("//defs/private:rootfs_tree.bzl", _rootfs_tree = "rootfs_tree")
load("//defs/private:sbom.bzl", _rootfs_sbom = "rootfs_sbom")

RootfsInfo = _RootfsInfo
rootfs_sbom = _rootfs_sbom
rootfs_tree = _rootfs_tree
