"""Tests of how the GuestOS runs."""

load("@rules_python//python:py_test.bzl", "py_test")

def guestos_boot_test(name, disk, version, root, variant, args = [], size = "enormous", tags = [], **kwargs):
    """Boots a disk image of the GuestOS in QEMU with OVMF, and checks the running system.

    From inside, where root logs in on the console: the slot, the root file system read-only through dm-verity with the
    right root hash, no failed unit, the version, the payload's health. From outside for `prod`: no way in. What the
    console shows is among the test's outputs, `console.log`.

    Args:
        name: of the test.
        disk: the image as a tar, such as `:disk-img.tar`.
        version: file with the version that the system must have.
        root: the verity_image that the system must have opened.
        variant: `dev`, where root logs in with the password `root`, or `prod`.
        args: further arguments, such as `--secure_boot`.
        size: of the test; an emulated boot takes half a minute to several minutes.
        tags: of the test; one that boots a machine takes a processor of its own.
        **kwargs: passed on: visibility and so on.
    """
    native.filegroup(
        name = name + ".root_hash",
        testonly = True,
        srcs = [root],
        output_group = "root_hash",
        tags = tags,
    )
    py_test(
        name = name,
        size = size,
        srcs = ["//ic-os/guestos/tools:guestos_tools/boot_test.py"],
        args = [
            "--disk=$(rootpath %s)" % disk,
            "--root_hash=$(rootpath :%s.root_hash)" % name,
            "--variant=" + variant,
            "--version=$(rootpath %s)" % version,
        ] + args,
        data = [disk, version, name + ".root_hash"],
        main = "//ic-os/guestos/tools:guestos_tools/boot_test.py",
        tags = tags + ["cpu:2", "vm"],
        deps = ["//ic-os/guestos/tools:boot_test"],
        **kwargs
    )
