"""The initramfs, the kernel command line, unified kernel images, the boot loader, and keys for the firmware.

An example. From [examples/minimal-appliance/BUILD.bazel](../../examples/minimal-appliance/BUILD.bazel):

```starlark
initramfs(
    name = "initrd",
    disk_guid = _DISK_GUID,
    folders = [
        "proc",
        "run",
        "sys",
        "sysroot",
    ],
    init = "boot/init",
    layout = "partitions.csv",
    modules = [
        "virtio_blk",
        "ext4",
    ],
    programs = [
        "bin/sh",
        "usr/bin/mount",
        "usr/bin/sleep",
        "usr/sbin/blkid",
        "usr/sbin/insmod",
        "usr/sbin/switch_root",
    ],
    rootfs = ":packages",
)

filegroup(
    name = "kernel",
    srcs = [":initrd"],
    output_group = "kernel",
)
```

From [tests/e2e/consumer/BUILD.bazel](../../tests/e2e/consumer/BUILD.bazel):

```starlark
boot_args(
    name = "boot_args",
    args = ["quiet"],
    root = ":root",
)
```
"""

load("//defs/private:boot_args.bzl", _boot_args = "boot_args")
load("//defs/private:grub_image.bzl", _grub_image = "grub_image")
load("//defs/private:grub_signature.bzl", _grub_signature = "grub_signature")
load("//defs/private:initramfs.bzl", _initramfs = "initramfs")
load("//defs/private:own_keys.bzl", _own_keys = "own_keys")
load("//defs/private:secure_boot_keys.bzl", _secure_boot_keys = "secure_boot_keys")
load("//defs/private:unified_kernel_image.bzl", _unified_kernel_image = "unified_kernel_image")

boot_args = _boot_args
grub_image = _grub_image
grub_signature = _grub_signature
initramfs = _initramfs
own_keys = _own_keys
secure_boot_keys = _secure_boot_keys
unified_kernel_image = _unified_kernel_image
