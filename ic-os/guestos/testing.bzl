"""The macro for boot tests of the GuestOS."""

load("//tools:python.bzl", "py_test")

def guestos_boot_test(name, disk, version, root, variant, args = [], size = "enormous", tags = [], **kwargs):
    """Boots a disk image of the GuestOS in QEMU with OVMF, and checks the running system.

    For `dev` the test logs in on the console and checks the slot, the root file system (read-only, through dm-verity
    with the expected root hash), that no unit failed, the version, the health of the payload, the accounts of its
    services, that only the crypto service can read the keys, and that the orchestrator's firewall rules are loaded. For
    `prod` it checks the payload's health, and that nobody can log in. The output of the console is among the test's
    outputs, as `console.log`.

    Args:
        name: of the test.
        disk: the image as a tar, such as `:disk-img.tar`.
        version: file with the expected version.
        root: the verity_image that the system is expected to boot.
        variant: `dev`, where root logs in with the password `root`, or `prod`.
        args: further arguments, such as `--secure_boot`.
        size: of the test; an emulated boot takes half a minute to several minutes.
        tags: of the test; `vm` is added.
        **kwargs: further attributes of the test, such as `visibility`.
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
        srcs = ["//ic-os/guestos/tools:guestos_tools/boot_check.py"],
        args = [
            "--disk=runfile:$(rootpath %s)" % disk,
            "--root_hash=runfile:$(rootpath :%s.root_hash)" % name,
            "--variant=" + variant,
            "--version=runfile:$(rootpath %s)" % version,
        ] + args,
        data = [disk, version, name + ".root_hash"],
        main = "//ic-os/guestos/tools:guestos_tools/boot_check.py",
        tags = tags + ["vm"],
        deps = ["//ic-os/guestos/tools:guestos_tools"],
        **kwargs
    )
