"""The files of the boot loader in the distribution's mode of trust."""

_PACKAGE = "//ic-os/guestos/bootloader:"

def distribution_loader(folder):
    """Returns the files, by label, and their paths below a folder, which ends with a slash unless it is the root.

    Firmware starts BOOTX64.EFI if no boot entry is configured (UEFI specification, section 3.5.1.1); shim then starts
    grubx64.efi in the same directory, and the signed GRUB loads its configuration from a directory with the name of its
    distribution.

    Args:
        folder: path of the folder.
    """
    return {
        _PACKAGE + "shimx64.efi": folder + "EFI/BOOT/BOOTX64.EFI",
        _PACKAGE + "grubx64.efi": folder + "EFI/BOOT/grubx64.efi",
    } | select({
        "//conditions:default": _configuration(folder + "EFI/debian/"),
        "//ic-os/guestos:ubuntu": _configuration(folder + "EFI/ubuntu/"),
    })

def _configuration(folder):
    return {_PACKAGE + "esp/grub.cfg": folder + "grub.cfg", _PACKAGE + "grub/grub.cfg": folder + "slots.cfg"}
