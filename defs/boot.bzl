"""The initramfs, and arguments for the kernel command line."""

load("//defs/private:boot_args.bzl", _boot_args = "boot_args")
load("//defs/private:initramfs.bzl", _initramfs = "initramfs")

boot_args = _boot_args
initramfs = _initramfs
