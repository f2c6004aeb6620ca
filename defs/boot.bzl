"""What a machine needs to start a root file system."""

load("//defs/private:boot_args.bzl", _boot_args = "boot_args")
load("//defs/private:initramfs.bzl", _initramfs = "initramfs")

boot_args = _boot_args
initramfs = _initramfs
