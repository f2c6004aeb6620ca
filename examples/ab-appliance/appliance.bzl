"""The appliance: what is the same in all its versions."""

load("@rules_icos//defs:defs.bzl", "ab_system")

# Made once by `uuidgen`. The UUIDs of partitions and file systems are derived from it.
DISK_GUID = "6e2d91c4-7f38-4d0a-b1c6-5a9e3f8d7000"

def appliance(name, version_file, arguments = [], **kwargs):
    """Declares the disk `NAME` and the update image `NAME.update.tar` of a version.

    Args:
        name: of the disk, and prefix of all targets; see ab_system.
        version_file: a file with the version.
        arguments: further arguments of the kernel.
        **kwargs: further attributes of ab_system.
    """
    ab_system(
        name = name,
        disk_guid = DISK_GUID,
        extra_files = {
            "//:rootfs/appliance": "usr/lib/appliance:0755",
            "//:rootfs/appliance.service": "usr/lib/systemd/system/appliance.service",
            "//:rootfs/ethernet.network": "usr/lib/systemd/network/ethernet.network",
        },
        grub = "@packages//packages:grub-efi-amd64-signed",
        healthy = ["appliance.service"],
        kernel_arguments = [
            "systemd.volatile=state",  # the root is read-only: /var is in memory
            "console=ttyS0,115200n8",
        ] + arguments,
        keys = ["//:keys/appliance.pem"],
        layers = ["//:base"],
        passwords = {"root": "root"},  # to try it; a product must have none
        product = "ab-appliance",
        root_files_size = "300M",
        root_size = "320M",
        shim = "@packages//packages:shim-signed",
        # To try it: everyone has this key. Make your own before the first machine is installed.
        signing_key = "//:keys/appliance.test-only.key.pem",
        symlinks = {
            "etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "/usr/lib/systemd/system/systemd-networkd.service",
        },
        version_file = version_file,
        **kwargs
    )
