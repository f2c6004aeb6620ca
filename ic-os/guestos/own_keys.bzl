"""The partitions and images of a variant in own-key mode: firmware starts only what the product's key has signed."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("//defs:disk.bzl", "disk_image", "upgrade_image")
load("//defs:partitions.bzl", "ext4_image", "vfat_image")
load("//defs:rootfs.bzl", "rootfs_tree")

# The product and the library are in one repository, and only images of the product need the parts one by one.
# buildifier: disable=bzl-visibility
load("//defs/private:own_keys.bzl", "own_keys_enrollment", "own_keys_kernel", "own_keys_loader")
load("//ic-os/guestos:partition_sizes.bzl", "size_attribute")
load("//ic-os/guestos:settings.bzl", "rollback_index_file")

_PREFIX = "own-keys-"
_COMMON = {"tags": ["manual"], "visibility": ["//ic-os/guestos:__subpackages__"]}

# Labels of the partitions, in the package of a variant; that of a version's boot partition ends with its suffix.
OWN_KEYS_BOOT = ":%sboot" % _PREFIX
OWN_KEYS_ESP = ":%sesp" % _PREFIX

# The boot loader appends these to the command line of a kernel without a signature.
_ARGUMENTS = ["console=tty0", "console=ttyS0,115200n8", "panic=10"]

# The boot loader starts `REASON/uki.efi`: the path tells the initramfs the boot reason. All of them are the same file.
_REASONS = ["damaged", "fallback", "first_boot", "stable"]

# buildifier: disable=unnamed-macro
def own_keys_system(suffix, keys, boot_uuid):
    """Declares the boot partition of one version, `own-keys-boot`; its root is that of the other mode.

    Args:
        suffix: of the version, and of names of targets.
        keys: from `own_keys`.
        boot_uuid: UUID of the file system.
    """
    image = _PREFIX + "uki" + suffix
    own_keys_kernel(
        name = image,
        args = _ARGUMENTS,
        common = _COMMON,
        hash_offset_argument = "dfinity.hash_offset",
        initrd = ":initrd",
        kernel = ":kernel",
        keys = keys,
        os_release = ":" + _PREFIX + "os-release",
        root = ":root" + suffix,
        root_hash_argument = "dfinity.root_hash",
        srcs = ["boot_args", ":" + _PREFIX + "rollback-index"],
    )
    ext4_image(
        name = _PREFIX + "boot" + suffix,
        src = ":" + _PREFIX + "boot-folders",
        extra_files = {
            ":%s" % image: "uki.efi",
            ":%s.grub" % image: "uki.efi.sig",
            # A confirmed system installs its boot loader from here.
            ":%sloader" % _PREFIX: "esp/EFI/BOOT/BOOTX64.EFI",
            ":version%s.txt" % suffix: "version.txt",
        },
        label = "boot",
        partition_size = "1G",
        size_attribute = size_attribute(_PREFIX + "boot" + suffix, "own_keys.bzl"),
        uuid = boot_uuid,
        **_COMMON
    )

# buildifier: disable=unnamed-macro
def own_keys_shared(keys, disk_guid):
    """Declares what versions share: the EFI system partition with the signed boot loader, and what enrolls the keys.

    Args:
        keys: from `own_keys`.
        disk_guid: GUID of the machines' disks, which also names the product in lists of keys.
    """
    rollback_index_file(
        name = _PREFIX + "rollback-index",
        index = "//ic-os/guestos:rollback_index",
        prefix = "dfinity.rollback_index=",
        **_COMMON
    )
    write_file(
        name = _PREFIX + "os-release-file",
        out = _PREFIX + "os-release",
        content = ["ID=guestos", "NAME=GuestOS", ""],
        **_COMMON
    )
    rootfs_tree(
        name = _PREFIX + "boot-folders",
        srcs = ["//ic-os/guestos:boot_folders"],
        symlinks = {reason: "." for reason in _REASONS},
        **_COMMON
    )
    own_keys_loader(
        name = _PREFIX + "loader",
        # do not sort
        configs = ["//ic-os/guestos/bootloader:grub/own_keys.cfg", "//ic-os/guestos/bootloader:grub/grub.cfg"],
        keys = keys,
        # A machine installs no loader of a lower generation.
        sbat = ["//ic-os/guestos/bootloader:grub/own_keys.sbat.csv"],
        **_COMMON
    )
    vfat_image(
        name = _PREFIX + "esp",
        extra_files = {":%sloader" % _PREFIX: "EFI/BOOT/BOOTX64.EFI"},
        label = "ESP",
        partition_size = "100M",
        size_attribute = size_attribute(_PREFIX + "esp", "own_keys.bzl"),
        volume_id = "1CE5-0001",
        **_COMMON
    )
    own_keys_enrollment(name = _PREFIX + "enroll", keys = keys, owner = disk_guid, **_COMMON)

# buildifier: disable=unnamed-macro
def own_keys_images(disk_guid, layout, suffixes, root_and_config, upgrade):
    """Declares disk and update images in own-key mode beside those of a variant in the other mode.

    Args:
        disk_guid: GUID of the machines' disks.
        layout: of the disk.
        suffixes: of versions.
        root_and_config: dict of partitions of the disk to their places, which both modes share.
        upgrade: dict of attributes of the update images, which both modes share.
    """
    disk_image(
        name = _PREFIX + "disk-img",
        disk_guid = disk_guid,
        expanded_size = "50G",
        layout = layout,
        partitions = root_and_config | {OWN_KEYS_BOOT: "A_boot", OWN_KEYS_ESP: "esp"},
        without = ["store"],
        **_COMMON
    )
    for suffix in suffixes:
        upgrade_image(
            name = _PREFIX + "update-img" + suffix,
            boot_partition = OWN_KEYS_BOOT + suffix,
            root_partition = ":root" + suffix,
            trust = "own_keys",
            version_file = ":version%s.txt" % suffix,
            **(upgrade | _COMMON)
        )
