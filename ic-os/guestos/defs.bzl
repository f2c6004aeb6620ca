"""The GuestOS: what its variants have in common."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("@rules_pkg//pkg:mappings.bzl", "pkg_attributes", "pkg_files", "strip_prefix")
load("//defs:boot.bzl", "boot_args", "initramfs")
load("//defs:disk.bzl", "disk_image", "upgrade_image")
load("//defs:partitions.bzl", "ext4_image", "verity_image")
load("//defs:rootfs.bzl", "rootfs_tree")
load("//defs:testing.bzl", "filesystem_check_test", "image_structure_test")
load("//defs:vm.bzl", "raw_disk", "vm_launcher")
load("//ic-os/guestos:image.bzl", "REQUIRED_BINARIES")
load("//ic-os/guestos:payload.bzl", "payload")
load("//ic-os/guestos:testing.bzl", "guestos_boot_test")
load("//ic-os/guestos:version.bzl", "version_file")

PRODUCT = "guestos"
DISK_GUID = "2B110BB7-CDEC-7D41-B97E-893EDCBE5428"
LAYOUT = "//ic-os/guestos:partitions.csv"
TEST_KEY = "//ic-os/guestos/update-keys:test-only.pem"

# Names of file systems, the same in every image: machines find partitions by the GUIDs of the layout, not by these.
_BOOT_UUID = "5f6ef1ac-0000-4000-8000-000000000003"
_CONFIG_UUID = "5f6ef1ac-0000-4000-8000-000000000004"
_ROOT_UUID = "5f6ef1ac-0000-4000-8000-000000000001"
_SALT = "67756573746f73"
_VERITY_UUID = "5f6ef1ac-0000-4000-8000-000000000002"

# The kernel and its initial RAM file system stand in the boot partition; what else packages put into /boot is of no
# use there.
_NOT_IN_ROOT = [
    "/boot/*",
    "/initrd.img*",
    "/vmlinuz*",
]

# What the root file system of every variant has, and has not: keys, identities and traces of the build are made by
# each machine, or not at all.
_PRESENT = {
    "/boot": "type=dir mode=0755 uid=0 gid=0",
    "/etc/machine-id": "type=file size=0",
    "/etc/shadow": "type=file mode=0640 uid=0 gid=42",
    "/opt/ic/bin/manageboot.sh": "type=file mode=0755 uid=0 gid=0",
    "/opt/ic/bin/orchestrator": "type=file mode=0755 uid=0 gid=0",
    "/opt/ic/bin/replica": "type=file mode=0755 uid=0 gid=0",
    "/opt/ic/share/system.json": "type=file mode=0644",
    "/opt/ic/share/version-floor.txt": "type=file mode=0644",
    "/opt/ic/share/version.txt": "type=file mode=0644",
    "/usr/bin/sudo": "type=file mode=4755 uid=0 gid=0",
    "/var": "type=dir",
}
_ABSENT = [
    "/boot/*",
    "/etc/apt/sources.list.d/*",
    "/etc/ssh/ssh_host_*",
    "/opt/ic/lib/**/*_test.py",
    "/var/cache/apt/*.bin",
    "/var/lib/apt/lists/*_*",
    "/var/log/**/*.log",
]

# What opens the root partition; see initramfs/init.
_INITRAMFS = {
    "folders": ["config", "proc", "run", "sys", "sysroot"],
    "modules": ["virtio_blk", "dm-verity"],
    "programs": [
        "bin/sh",
        "usr/bin/cat",
        "usr/bin/chmod",
        "usr/bin/mkdir",
        "usr/bin/mount",
        "usr/bin/readlink",
        "usr/bin/sed",
        "usr/bin/sleep",
        "usr/bin/tr",
        "usr/bin/umount",
        "usr/sbin/blkid",
        "usr/sbin/insmod",
        "usr/sbin/switch_root",
        "usr/sbin/veritysetup",
    ],
}

def guestos_image(
        name,
        base,
        update_keys,
        signing_key,
        unsigned_updates = False,
        passwords = {},
        version_suffixes = {"": [], "-test": ["manual"]}):
    """Declares a variant of the GuestOS, in the package that has its own files in `rootfs/` and `boot_args`.

    Targets: `disk-img.tar`, `update-img.tar` and each also with .gz, .zst, and for each of these with .sha256;
    `update-img-test…`, the same system with the version `VERSION-test`, for tests of upgrades.

    Args:
        name: of the variant, which upgrades carry: `dev` or `prod`.
        base: a tar with the installed packages.
        update_keys: public keys as PEM files; machines take upgrades that are signed by one of them.
        signing_key: the private key as a PEM file that signs the upgrade images; a target without files is none.
        unsigned_updates: whether upgrade images may go without a signature where there is no key; no machine takes them.
        passwords: passwords in clear, by account.
        version_suffixes: dict of what is appended to the version, in names of targets too, to tags.
    """
    if name == "prod" and passwords:
        fail("prod: has no passwords; nobody logs in there. Got one for %s" % ", ".join(passwords))

    pkg_files(
        name = "rootfs_files",
        srcs = native.glob(["rootfs/**"], allow_empty = True),
        attributes = pkg_attributes(mode = "0644"),
        strip_prefix = strip_prefix.from_pkg("rootfs"),
    )
    payload(
        name = "payload",
        src = "//ic-os/guestos:release_binaries",
        required = REQUIRED_BINARIES,
    )
    write_file(
        name = "system",
        out = "system.json",
        content = [json.encode({"product": PRODUCT, "variant": name}), ""],
    )
    version_file(
        name = "version-floor.txt",
        optional = True,
        version = "//ic-os/guestos:version_floor",
    )
    pkg_files(
        name = "update_keys",
        srcs = update_keys,
        attributes = pkg_attributes(mode = "0644"),
        prefix = "opt/ic/share/update-keys",
    )
    for suffix, tags in version_suffixes.items():
        _system(base, passwords, suffix, tags)
        upgrade_image(
            name = "update-img" + suffix,
            boot_partition = ":boot" + suffix,
            disk_guid = DISK_GUID,
            layout = LAYOUT,
            product = PRODUCT,
            # What anybody can sign with must not sign what machines in production take.
            refused_keys = [TEST_KEY] if name == "prod" else [],
            root_partition = ":root" + suffix,
            signing_key = signing_key,
            tags = tags,
            unsigned = unsigned_updates,
            variant = name,
            version_file = ":version%s.txt" % suffix,
            visibility = ["//visibility:public"],
        )

    ext4_image(
        name = "config",
        journal = True,
        label = "config",
        partition_size = "100M",
        uuid = _CONFIG_UUID,
    )
    disk_image(
        name = "disk-img",
        disk_guid = DISK_GUID,
        expanded_size = "50G",
        layout = LAYOUT,
        partitions = {
            ":boot": "A_boot",
            ":config": "config",
            ":root": "A_root",
            "//ic-os/guestos/bootloader:esp_image": "esp",
            "//ic-os/guestos/bootloader:grub_image": "grub",
        },
        visibility = ["//visibility:public"],
        without = ["store"],
    )
    raw_disk(
        name = "disk.img",
        disk = ":disk-img.tar",
    )
    vm_launcher(
        name = "launch-local-vm",
        disk = ":disk-img.tar",
    )

def guestos_tests(name, variant, secure_boot = False, present = {}, absent = [], contains = {}, lacks = {}):
    """Declares the tests of a variant: what its images hold, and how it runs.

    Args:
        name: not of a target; the tests have names of their own.
        variant: `dev` or `prod`.
        secure_boot: whether it boots with UEFI Secure Boot.
        present: paths of the root file system to keywords of mtree, besides those that all variants have.
        absent: patterns of paths that must not be in the root file system, besides those of all variants.
        contains: files of the root file system to regular expressions that must match.
        lacks: files of the root file system to regular expressions that must not match.
    """
    image_structure_test(
        name = "root_structure_test",
        absent = _ABSENT + absent,
        contains = contains,
        image = ":rootfs_image",
        lacks = lacks,
        present = _PRESENT | present,
    )
    image_structure_test(
        name = "boot_structure_test",
        contains = {"/extra_boot_args": ["^extra_boot_args=.* dfinity.hash_offset=3221225472 dfinity.root_hash=[0-9a-f]{64}$"]},
        image = ":disk-img.tar",
        partition = "A_boot",
        present = {
            "/config": "type=dir",
            "/efi": "type=dir",
            "/extra_boot_args": "type=file size=1024",
            "/grub": "type=dir",
            "/initrd.img": "type=file mode=0644",
            "/version.txt": "type=file",
            "/vmlinuz": "type=file mode=0644",
        },
    )
    image_structure_test(
        name = "esp_structure_test",
        image = ":disk-img.tar",
        partition = "esp",
        present = {
            "/EFI/BOOT/BOOTX64.EFI": "type=file",
            "/EFI/BOOT/grubx64.efi": "type=file",
        } | select({
            "//conditions:default": {"/EFI/debian/grub.cfg": "type=file"},
            "//ic-os/guestos:ubuntu": {"/EFI/ubuntu/grub.cfg": "type=file"},
        }),
    )
    guestos_boot_test(
        name = "boot_test",
        args = ["--secure_boot"] if secure_boot else [],
        disk = ":disk-img.tar",
        root = ":root",
        variant = variant,
        version = ":version.txt",
    )
    for partition in ["esp", "grub", "config", "A_boot", "A_root"]:
        filesystem_check_test(
            name = partition + "_check_test",
            image = ":disk-img.tar",
            partition = partition,
        )

def _system(base, passwords, suffix, tags):
    """Declares what one version of a system consists of: root and boot partition."""
    version_file(
        name = "version%s.txt" % suffix,
        suffix = suffix,
        tags = tags,
        version = "//ic-os/guestos:version",
    )
    rootfs_tree(
        name = "rootfs" + suffix,
        srcs = [
            ":payload",
            ":rootfs_files",
            ":update_keys",
            "//ic-os/guestos:rootfs_executables",
            "//ic-os/guestos:rootfs_files",
            "//ic-os/guestos:rootfs_secret",
        ],
        extra_files = {
            ":system.json": "opt/ic/share/system.json",
            ":version%s.txt" % suffix: "opt/ic/share/version.txt",
            ":version-floor.txt": "opt/ic/share/version-floor.txt",
        },
        layers = [base],
        overrides = ["/etc/**"],
        passwords = passwords,
        sysusers = ["usr/lib/sysusers.d/guestos.conf"],
        tags = tags,
    )
    ext4_image(
        name = "rootfs_image" + suffix,
        src = ":rootfs" + suffix,
        label = "root",
        partition_size = "3G",
        strip_paths = _NOT_IN_ROOT,
        tags = tags,
        uuid = _ROOT_UUID,
    )
    verity_image(
        name = "root" + suffix,
        src = ":rootfs_image" + suffix,
        salt = _SALT,
        tags = tags,
        uuid = _VERITY_UUID,
    )
    boot_args(
        name = "extra_boot_args" + suffix,
        srcs = ["boot_args"],
        root = ":root" + suffix,
        tags = tags,
    )
    if not suffix:
        initramfs(
            name = "initrd",
            disk_guid = DISK_GUID,
            init = "//ic-os/guestos:initramfs/init",
            layout = LAYOUT,
            rootfs = ":base",
            **_INITRAMFS
        )
        rootfs_tree(
            name = "base",
            layers = [base],
        )
        native.filegroup(
            name = "kernel",
            srcs = [":initrd"],
            output_group = "kernel",
        )
        rootfs_tree(
            name = "boot_folders",
            srcs = ["//ic-os/guestos:boot_folders"],
        )
    ext4_image(
        name = "boot" + suffix,
        src = ":boot_folders",
        extra_files = {
            ":extra_boot_args" + suffix: "extra_boot_args",
            ":initrd": "initrd.img",
            ":kernel": "vmlinuz",
            ":version%s.txt" % suffix: "version.txt",
        },
        label = "boot",
        partition_size = "1G",
        tags = tags,
        uuid = _BOOT_UUID,
    )
