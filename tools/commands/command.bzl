"""The programs that the rules run and that people call."""

load("//tools:python.bzl", "py_tool")

# What each imports besides //tools/core.
COMMANDS = {
    "boot_args": [],
    "compare_builds": ["//tools/image", "//tools/inspect"],
    "compress": ["//tools/image", "//tools/pieces", "//tools/tar"],
    "debian_base_root": ["//tools/debian:base_root"],
    "debian_data": ["//tools/debian:deb"],
    "debian_lock_check": ["//tools/debian:locking"],
    "debian_lock_update": ["//tools/debian:locking"],
    "debian_lock_verify": ["//tools/debian:locking"],
    "decompress": ["//tools/image"],
    "discoverable_image": ["//tools/ddi", "//tools/image", "//tools/tar"],
    "discoverable_layout": ["//tools/ddi"],
    "disk_image": ["//tools/gpt", "//tools/image", "//tools/tar"],
    "disk_layout_check": ["//tools/gpt", "//tools/verity"],
    "erofs_image": ["//tools/erofs", "//tools/rootfs"],
    "ext4_image": ["//tools/ext4:writer", "//tools/image", "//tools/rootfs", "//tools/tree"],
    "extension_release": ["//tools/ddi", "//tools/rootfs"],
    "grub_image": ["//tools/debian:deb", "//tools/grub", "//tools/image", "//tools/pe"],
    "grub_signature": ["//tools/grub", "//tools/image", "//tools/pe"],
    "image_budget_check": ["//tools/report"],
    "image_diff": ["//tools/inspect", "//tools/tar"],
    "image_export": ["//tools/image", "//tools/inspect", "//tools/tar", "//tools/tree"],
    "image_extract": ["//tools/image", "//tools/inspect", "//tools/tree"],
    "image_inspect": [
        ":image_extract",
        ":image_ls",
        ":image_which",
        "//tools/image",
        "//tools/inspect",
        "//tools/tree",
    ],
    "image_layers": [":sbom", "//tools/rootfs", "//tools/tree"],
    "image_locate": ["//tools/inspect"],
    "image_ls": ["//tools/inspect", "//tools/tree"],
    "image_report": ["//tools/report", "//tools/tar"],
    "image_structure_check": ["//tools/inspect", "//tools/tree"],
    "image_which": ["//tools/inspect", "//tools/report", "//tools/sbom", "//tools/tree"],
    "initramfs": [
        "//tools/gpt",
        "//tools/image",
        "//tools/initramfs",
        "//tools/rootfs",
        "//tools/tree",
        "@pypi//:zstandard",
    ],
    "oci_root": ["//tools/image", "//tools/oci", "//tools/tree"],
    "pcr_signature": ["//tools/image", "//tools/pe"],
    "raw_disk": ["//tools/image", "//tools/tar"],
    "raw_partition": ["//tools/image", "//tools/tar"],
    "sbom": ["//tools/rootfs", "//tools/sbom"],
    "secure_boot_keys": ["//tools/pe", "//tools/uefi"],
    "secure_boot_signature": ["//tools/image", "//tools/pe"],
    "sha256": ["//tools/image"],
    "squashfs_image": ["//tools/image", "//tools/rootfs", "//tools/squashfs", "//tools/tree"],
    "swap_image": ["//tools/image", "//tools/swap", "//tools/tar"],
    "tree_snapshot_check": [],
    "unified_kernel_image": [":boot_args", "//tools/image", "//tools/pe"],
    "upgrade_image": ["//tools/image", "//tools/tar", "//tools/upgrade"],
    "upgrade_manifest": ["//tools/gpt", "//tools/image", "//tools/pieces", "//tools/tar", "//tools/upgrade"],
    "upgrade_signature": ["//tools/upgrade"],
    "verity_image": ["//tools/image", "//tools/pieces", "//tools/tar", "//tools/verity"],
    "verity_signature_image": ["//tools/ddi", "//tools/image", "//tools/pe", "//tools/tar"],
    "verity_verify": ["//tools/tar", "//tools/verity"],
    "vfat_image": ["//tools/fat", "//tools/rootfs"],
    "virtual_disk": ["//tools/gpt", "//tools/image", "//tools/iso", "//tools/tar", "//tools/virtual_disk"],
    "vm_boot_check": ["//tools/vm", "//tools/vm:boot_check"],
    "vm_launcher": ["//tools/image", "//tools/tar", "//tools/vm", "//tools/vm:disk"],
    "vulnerability_report": ["//tools/sbom"],
}

def command(name, deps):
    """Declares the program in the file `NAME.py`.

    Macros in defs/ run the same file in other packages, with arguments of their own, so it is exported.

    Args:
        name: of the target and of its file.
        deps: libraries that it imports besides //tools/core.
    """
    native.exports_files([name + ".py"], visibility = ["//visibility:public"])
    py_tool(
        name = name,
        srcs = [
            "__init__.py",
            name + ".py",
        ],
        main = name + ".py",
        visibility = ["//visibility:public"],
        deps = deps + ["//tools/core"],
    )
