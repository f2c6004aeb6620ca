"""All public rules, macros and providers of rules_icos. The other files in this package have those of one topic each."""

load("//defs:ab.bzl", _ab_system = "ab_system")
load("//defs:boot.bzl", _boot_args = "boot_args", _grub_image = "grub_image", _grub_signature = "grub_signature", _initramfs = "initramfs", _own_keys = "own_keys", _secure_boot_keys = "secure_boot_keys", _unified_kernel_image = "unified_kernel_image")
load(
    "//defs:debian.bzl",
    _DebianInstalledInfo = "DebianInstalledInfo",
    _DebianPackageInfo = "DebianPackageInfo",
    _DebianPackagesInfo = "DebianPackagesInfo",
    _debian_base_root = "debian_base_root",
    _debian_data = "debian_data",
    _debian_file = "debian_file",
    _debian_lock = "debian_lock",
    _debian_package = "debian_package",
)
load(
    "//defs:disk.bzl",
    _DiskImageInfo = "DiskImageInfo",
    _UpgradeImageInfo = "UpgradeImageInfo",
    _discoverable_layout = "discoverable_layout",
    _disk_image = "disk_image",
    _sha256 = "sha256",
    _upgrade_image = "upgrade_image",
    _virtual_disk = "virtual_disk",
)
load("//defs:extension.bzl", _confext_image = "confext_image", _sysext_image = "sysext_image")
load(
    "//defs:partitions.bzl",
    _PartitionInfo = "PartitionInfo",
    _VerityInfo = "VerityInfo",
    _erofs_image = "erofs_image",
    _ext4_image = "ext4_image",
    _raw_partition = "raw_partition",
    _squashfs_image = "squashfs_image",
    _swap_image = "swap_image",
    _verity_hash_image = "verity_hash_image",
    _verity_image = "verity_image",
    _verity_signature_image = "verity_signature_image",
    _vfat_image = "vfat_image",
)
load("//defs:report.bzl", _image_budget_test = "image_budget_test", _image_inspector = "image_inspector", _image_report = "image_report")
load("//defs:rootfs.bzl", _RootfsInfo = "RootfsInfo", _rootfs_sbom = "rootfs_sbom", _rootfs_tree = "rootfs_tree")
load(
    "//defs:testing.bzl",
    _filesystem_check_test = "filesystem_check_test",
    _image_structure_test = "image_structure_test",
    _reproducible_test = "reproducible_test",
    _tree_snapshot_test = "tree_snapshot_test",
)
load("//defs:vm.bzl", _qemu_toolchain = "qemu_toolchain", _raw_disk = "raw_disk", _vm_boot_test = "vm_boot_test", _vm_launcher = "vm_launcher")

DebianPackageInfo = _DebianPackageInfo
DebianInstalledInfo = _DebianInstalledInfo
DebianPackagesInfo = _DebianPackagesInfo
DiskImageInfo = _DiskImageInfo
PartitionInfo = _PartitionInfo
RootfsInfo = _RootfsInfo
UpgradeImageInfo = _UpgradeImageInfo
VerityInfo = _VerityInfo

ab_system = _ab_system
boot_args = _boot_args
confext_image = _confext_image
debian_base_root = _debian_base_root
debian_data = _debian_data
debian_file = _debian_file
debian_lock = _debian_lock
debian_package = _debian_package
discoverable_layout = _discoverable_layout
disk_image = _disk_image
erofs_image = _erofs_image
ext4_image = _ext4_image
filesystem_check_test = _filesystem_check_test
grub_image = _grub_image
grub_signature = _grub_signature
image_budget_test = _image_budget_test
image_inspector = _image_inspector
image_report = _image_report
image_structure_test = _image_structure_test
initramfs = _initramfs
own_keys = _own_keys
qemu_toolchain = _qemu_toolchain
raw_disk = _raw_disk
raw_partition = _raw_partition
reproducible_test = _reproducible_test
rootfs_sbom = _rootfs_sbom
rootfs_tree = _rootfs_tree
sha256 = _sha256
squashfs_image = _squashfs_image
swap_image = _swap_image
secure_boot_keys = _secure_boot_keys
sysext_image = _sysext_image
tree_snapshot_test = _tree_snapshot_test
unified_kernel_image = _unified_kernel_image
upgrade_image = _upgrade_image
verity_hash_image = _verity_hash_image
verity_image = _verity_image
verity_signature_image = _verity_signature_image
vfat_image = _vfat_image
virtual_disk = _virtual_disk
vm_boot_test = _vm_boot_test
vm_launcher = _vm_launcher
