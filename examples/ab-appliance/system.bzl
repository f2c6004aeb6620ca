"""One version of the appliance's system: a root partition with dm-verity, and its boot partition."""

load(
    "@rules_icos//defs:defs.bzl",
    "boot_args",
    "ext4_image",
    "rootfs_tree",
    "verity_image",
)

DISK_GUID = "6e2d91c4-7f38-4d0a-b1c6-5a9e3f8d7000"
LAYOUT = "//:partitions.csv"

def system(name, version_file):
    """Declares `NAME.root` and `NAME.boot`, which belong together.

    Args:
        name: prefix of the targets.
        version_file: a file with the version.
    """
    rootfs_tree(
        name = name + ".tree",
        srcs = [
            "//:folders",
            "//:payload",
            "//:units",
        ],
        extra_files = {
            "//:keys/appliance.pem": "usr/lib/appliance/appliance.pem",
            version_file: "usr/lib/appliance/version.txt",
        },
        layers = ["//:packages"],
        passwords = {"root": "root"},  # only for the test; a product must have none
        strip_paths = [
            "/boot/*",
            "/vmlinuz*",
        ],
        symlinks = {
            "etc/systemd/system/multi-user.target.wants/appliance.service": "../appliance.service",
        },
    )
    ext4_image(
        name = name + ".root-fs",
        src = name + ".tree",
        label = "root",
        partition_size = "300M",
        uuid = "6e2d91c4-7f38-4d0a-b1c6-5a9e3f8d7003",
    )
    verity_image(
        name = name + ".root",
        src = name + ".root-fs",
        salt = "6e2d91c4",
        uuid = "6e2d91c4-7f38-4d0a-b1c6-5a9e3f8d7004",
    )
    boot_args(
        name = name + ".boot_args",
        srcs = ["//:boot/boot_args"],
        hash_offset_argument = "verity.hash_offset",
        root = name + ".root",
        root_hash_argument = "verity.root_hash",
    )
    ext4_image(
        name = name + ".boot",
        extra_files = {
            name + ".boot_args": "boot_args",
            "//:initrd": "initrd.img",
            "//:kernel": "vmlinuz",
        },
        label = "boot",
        partition_size = "32M",
        uuid = "6e2d91c4-7f38-4d0a-b1c6-5a9e3f8d7005",
    )
