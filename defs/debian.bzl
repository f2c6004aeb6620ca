"""Debian packages: locking them, installing them into a base root, and taking files from them.

An example. From [examples/minimal-appliance/BUILD.bazel](../../examples/minimal-appliance/BUILD.bazel):

```starlark
# A package that is made here. dpkg installs it with those of the lock, and runs its maintainer script.
pkg_tar(
    name = "greeting",
    srcs = ["package/greeting.txt"],
    mode = "0644",
    package_dir = "usr/share/greeter",
)

pkg_deb(
    name = "greeter_deb",
    architecture = "all",
    data = ":greeting",
    depends = ["init-system-helpers"],
    description = "What the greeter says",
    maintainer = "Appliance <appliance@example.org>",
    package = "greeter",
    postinst = "package/postinst",
    version = "1.0",
)

debian_package(
    name = "greeter",
    architecture = "all",
    deb = ":greeter_deb",
    package = "greeter",
    version = "1.0",
)

# The installed packages. Slow, but only rebuilt if the lock or the package of above changes.
debian_base_root(
    name = "base",
    include = ["usr/share/doc/*/copyright"],
    exclude = [
        "usr/share/doc/*",
        "usr/share/locale/*",
        "usr/share/man/*",
    ],
    extra_packages = [":greeter"],
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

load("//defs/private:debian_base_root.bzl", _debian_base_root = "debian_base_root")
load("//defs/private:debian_data.bzl", _debian_data = "debian_data", _debian_file = "debian_file")
load("//defs/private:debian_package.bzl", _debian_package = "debian_package")
load(
    "//defs/private:debian_providers.bzl",
    _DebianInstalledInfo = "DebianInstalledInfo",
    _DebianPackageInfo = "DebianPackageInfo",
    _DebianPackagesInfo = "DebianPackagesInfo",
)
load("//tools:python.bzl", "py_binary", "py_test")

DebianInstalledInfo = _DebianInstalledInfo
DebianPackageInfo = _DebianPackageInfo
DebianPackagesInfo = _DebianPackagesInfo
debian_base_root = _debian_base_root
debian_data = _debian_data
debian_file = _debian_file
debian_package = _debian_package

def debian_lock(name, lists = None, proof_tags = [], **kwargs):
    """Declares targets that update and check the lock of a manifest in this package.

    The manifest is `NAME.toml`, the lock `NAME.lock.json`. `bazel run :NAME.lock` writes the lock and prints which
    packages were added, removed and upgraded; it needs apt and the network. `bazel test :NAME_lock_test` fails if the
    manifest has changed since then, or if the lock has an invalid value. The test is declared only if the lock exists.

    The update also writes the archives' signed Release files to the folder `NAME.lock.d`, to be committed with the lock.
    With `lists`, `bazel test :NAME_lock_proof_test` proves by them that each package of the lock was in the signed
    archives, in its newest version. It downloads the package lists, some MB, and needs gpgv.

    Args:
        name: of the manifest, without `.toml`.
        lists: the package lists, such as `@packages//lists` of the repository that the module extension declares.
        proof_tags: tags of that test, such as `manual` where the archive is not always reached.
        **kwargs: further attributes of all these targets, such as `visibility`.
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
        if lists:
            tags = kwargs.pop("tags", []) + proof_tags
            py_test(
                name = name + "_lock_proof_test",
                size = "medium",
                srcs = [Label("//tools/commands:debian_lock_verify.py")],
                args = [
                    "--manifest=runfile:$(rootpath %s)" % manifest,
                    "--lock=runfile:$(rootpath %s)" % lock,
                    "'--command=%s'" % command,
                    "$(rootpaths %s)" % lists,
                ],
                data = [manifest, lock, lists] + native.glob([name + ".lock.d/*", "*.asc"], allow_empty = True),
                main = Label("//tools/commands:debian_lock_verify.py"),
                tags = tags,
                deps = [Label("//tools/commands:debian_lock_verify")],
                **kwargs
            )
