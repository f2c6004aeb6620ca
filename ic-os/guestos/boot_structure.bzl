"""Tests of the partitions that start a system, in both modes of trust."""

load("//defs:testing.bzl", "image_structure_test")

_FOLDERS = {
    "/config": "type=dir",
    "/esp/EFI/BOOT/BOOTX64.EFI": "type=file mode=0644",
    "/grub": "type=dir",
    "/version.txt": "type=file",
}

_BOOT_ABSENT = {
    "distribution": ["/uki.efi"],
    "own_keys": ["/extra_boot_args", "/initrd.img", "/vmlinuz"],
}
_BOOT_CONTAINS = {
    "distribution": {"/extra_boot_args": ["^extra_boot_args=.* dfinity.hash_offset=3221225472 dfinity.root_hash=[0-9a-f]{64}$"]},
    "own_keys": {},
}
_BOOT_PRESENT = {
    "distribution": _FOLDERS | {
        "/esp/EFI/BOOT/grubx64.efi": "type=file mode=0644",
        "/extra_boot_args": "type=file size=1024",
        "/initrd.img": "type=file mode=0644",
        "/vmlinuz": "type=file mode=0644",
    },
    "own_keys": _FOLDERS | {
        "/uki.efi": "type=file mode=0644",
        "/uki.efi.sig": "type=file mode=0644",
    } | {
        "/" + reason: "type=link link=."
        for reason in [
            "damaged",
            "fallback",
            "first_boot",
            "stable",
        ]
    },
}
_ESP_ABSENT = {
    "distribution": [],
    "own_keys": ["/EFI/BOOT/grubx64.efi", "/EFI/debian", "/EFI/ubuntu"],
}
_ESP_PRESENT = {
    "distribution": {"/EFI/BOOT/BOOTX64.EFI": "type=file", "/EFI/BOOT/grubx64.efi": "type=file"},
    "own_keys": {"/EFI/BOOT/BOOTX64.EFI": "type=file"},
}

def _of_trust(trust, values):
    """Returns the value of a mode, or of the one that //ic-os/guestos:prod_trust is set to."""
    if trust:
        return values[trust]
    return select({
        "//conditions:default": values["own_keys"],
        "//ic-os/guestos:prod_trusts_distribution": values["distribution"],
    })

# buildifier: disable=unnamed-macro
def boot_structure_tests(prefix, disk, trust):
    """Declares tests that boot partition and EFI system partition have what a mode starts, and nothing of the other one.

    Args:
        prefix: of the names of the tests.
        disk: the disk image.
        trust: the mode, `distribution` or `own_keys`; None for that of //ic-os/guestos:prod_trust.
    """
    image_structure_test(
        name = prefix + "boot_structure_test",
        absent = _of_trust(trust, _BOOT_ABSENT),
        contains = _of_trust(trust, _BOOT_CONTAINS),
        image = disk,
        partition = "A_boot",
        present = _of_trust(trust, _BOOT_PRESENT),
    )
    image_structure_test(
        name = prefix + "esp_structure_test",
        absent = _of_trust(trust, _ESP_ABSENT),
        image = disk,
        partition = "esp",
        present = _of_trust(trust, _ESP_PRESENT),
    )
