"""Debian packages: locking them, installing them into a base root, and taking files from them.

An example. From [examples/minimal-appliance/BUILD.bazel](../../examples/minimal-appliance/BUILD.bazel):

```starlark
# The packages, installed. Slow, and done again only where the lock changes.
debian_base_root(
    name = "base",
    include = ["usr/share/doc/*/copyright"],
    exclude = [
        "usr/share/doc/*",
        "usr/share/locale/*",
        "usr/share/man/*",
    ],
    installer = "@packages//:installer",
    packages = "@packages//:system",
)

rootfs_tree(
    name = "packages",
    layers = [":base"],
)

debian_file(
    name = "shim",
    src = "@packages//packages:shim-signed",
    path = "usr/lib/shim/shimx64.efi.signed",
)
```

From [examples/minimal-appliance/packages/BUILD.bazel](../../examples/minimal-appliance/packages/BUILD.bazel):

```starlark
# bazel run //packages:trixie.lock
debian_lock(name = "trixie")
```
"""

load("@rules_python//python:py_binary.bzl", "py_binary")
load("@rules_python//python:py_test.bzl", "py_test")
load("//defs/private:debian_base_root.bzl", _debian_base_root = "debian_base_root")
load("//defs/private:debian_data.bzl", _debian_data = "debian_data", _debian_file = "debian_file")
load(
    "//defs/private:debian_providers.bzl",
    _DebianPackageInfo = "DebianPackageInfo",
    _DebianPackagesInfo = "DebianPackagesInfo",
)

DebianPackageInfo = _DebianPackageInfo
DebianPackagesInfo = _DebianPackagesInfo
debian_base_root = _debian_base_root
debian_data = _debian_data
debian_file = _debian_file

def debian_lock(name, **kwargs):
    """Declares targets that update and check the lock of a manifest in this package.

    The manifest is `NAME.toml`, the lock `NAME.lock.json`. `bazel run :NAME.lock` writes the lock and prints which
    packages were added, removed and upgraded; it needs apt and the network. `bazel test :NAME_lock_test` fails if the
    manifest has changed since then. The test is declared only if the lock exists.

    Args:
        name: of the manifest, without `.toml`.
        **kwargs: further attributes of both targets, such as `tags` and `visibility`.
    """
    manifest, lock = name + ".toml", name + ".lock.json"
    command = "bazel run //%s:%s.lock" % (native.package_name(), name)
    native.exports_files([manifest, lock])
    py_binary(
        name = name + ".lock",
        srcs = [Label("//tools/commands:debian_lock_update.py")],
        args = [
            "--manifest=workspace:%s/%s" % (native.package_name(), manifest),
            "--lock=workspace:%s/%s" % (native.package_name(), lock),
        ],
        main = Label("//tools/commands:debian_lock_update.py"),
        deps = [Label("//tools/commands:debian_lock_update")],
        **kwargs
    )
    if native.glob([lock], allow_empty = True):
        py_test(
            name = name + "_lock_test",
            size = "small",
            srcs = [Label("//tools/commands:debian_lock_check.py")],
            args = [
                "--manifest=runfile:$(rootpath %s)" % manifest,
                "--lock=runfile:$(rootpath %s)" % lock,
                "'--command=%s'" % command,
            ],
            data = [manifest, lock],
            main = Label("//tools/commands:debian_lock_check.py"),
            deps = [Label("//tools/commands:debian_lock_check")],
            **kwargs
        )
