"""The appliance: what is the same in all its versions."""

load("@rules_icos//defs:defs.bzl", "ab_system")

# Made once by `uuidgen`. The UUIDs of partitions and file systems are derived from it.
DISK_GUID = "6e2d91c4-7f38-4d0a-b1c6-5a9e3f8d7000"

# Of the partition that lasts: an update image is copied there whole. The tests of updates put two of them on it.
DATA_SIZE = "512M"

# A machine refuses updates of another product.
PRODUCT = "ab-appliance"

# To try it; a product must have none, {}. Tests log in with the password of root, and without one they don't.
PASSWORDS = {"root": "root"}

# Signs updates. To try it: everyone has this key. Make your own before the first machine is installed.
SIGNING_KEY = "keys/appliance.test-only.key.pem"

def appliance(name, version_file, extra_files = {}, healthy = [], passwords = PASSWORDS, **kwargs):
    """Declares the disk `NAME` and the update image `NAME.update.tar` of a version.

    Args:
        name: of the disk, and prefix of all targets; see ab_system.
        version_file: a file with the version.
        extra_files: further files; see ab_system.
        healthy: further units that must be healthy before an update is confirmed; see ab_system.
        passwords: of accounts; others than PASSWORDS for a system in tests that people log in to.
        **kwargs: further attributes of ab_system.
    """
    ab_system(
        name = name,
        data_size = DATA_SIZE,
        disk_guid = DISK_GUID,
        extra_files = {
            "//:rootfs/appliance": "usr/lib/appliance:0755",
            "//:rootfs/appliance.service": "usr/lib/systemd/system/appliance.service",
            "//:rootfs/ethernet.network": "usr/lib/systemd/network/ethernet.network",
            "//:rootfs/updater": "usr/lib/updater:0755",
            "//:rootfs/updater.service": "usr/lib/systemd/system/updater.service",
        } | extra_files,
        grub = "@packages//packages:grub-efi-amd64-signed",
        healthy = [
            "appliance.service",
            "updater.service",
        ] + healthy,
        kernel_arguments = [
            "systemd.volatile=state",  # the root is read-only: /var is in memory
            "console=ttyS0,115200n8",
        ],
        keys = ["//:keys/appliance.pem"],
        layers = ["//:base"],
        passwords = passwords,
        product = PRODUCT,
        root_files_size = "300M",
        root_size = "320M",
        root_type = "erofs",
        shim = "@packages//packages:shim-signed",
        signing_key = "//:" + SIGNING_KEY,
        symlinks = {
            "etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "/usr/lib/systemd/system/systemd-networkd.service",
        },
        version_file = version_file,
        **kwargs
    )
