"""UEFI firmware for QEMU: found through the descriptions that distributions install with it.

Format: docs/interop/firmware.json of QEMU. The descriptions are JSON files in the folders below; a file in an earlier
folder replaces one of the same name in a later one, and of several that suit the first by name is taken.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.core.errors import UserError

FOLDERS = ("/etc/qemu/firmware", "/usr/local/share/qemu/firmware", "/usr/share/qemu/firmware")

_SECURE = {"secure-boot", "enrolled-keys"}
_UNWANTED = {"amd-sev-es", "amd-sev-snp", "intel-tdx"}
"""What confidential machines need; such firmware is built for them alone."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """A UEFI firmware.

    Attributes:
        code: the path of its executable.
        variables: the path of a template of its variables; None where all is in one file.
        secure_boot: whether it starts only what is signed by a key that it has enrolled.
    """

    code: str
    variables: str | None = None
    secure_boot: bool = False


def find_firmware(secure_boot: bool = False, folders: Sequence[str] = FOLDERS) -> Firmware:
    """Returns the firmware to use for an x86-64 machine of type q35.

    Args:
        secure_boot: whether it is to check signatures, with the keys of Microsoft and the distributions enrolled.
        folders: where to look for descriptions, in order.

    Raises:
        UserError: there is none.
    """
    descriptions: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(Path(folder).glob("*.json")):
            descriptions.setdefault(path.name, path)
    for _, path in sorted(descriptions.items()):
        firmware = _firmware(path)
        if firmware is not None and firmware.secure_boot == secure_boot and Path(firmware.code).exists():
            return firmware
    kind = "UEFI firmware with Secure Boot and enrolled keys" if secure_boot else "UEFI firmware"
    raise UserError(f"no {kind} for QEMU is described in {', '.join(folders)}; install it (Debian: ovmf)")


def _firmware(path: Path) -> Firmware | None:
    """Returns the firmware that a file describes; None where it is not for the machines of this project."""
    try:
        description = json.loads(path.read_bytes())
        return _parse(description) if _suits(description) else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is not a description of firmware: {error!r}") from error


def _suits(description: dict[str, Any]) -> bool:
    if "uefi" not in description["interface-types"] or _UNWANTED & set(description["features"]):
        return False
    # Only flash: firmware that is mapped to memory is one for confidential machines.
    if description["mapping"]["device"] != "flash" or description["mapping"].get("mode", "split") == "stateless":
        return False
    return any(
        target["architecture"] == "x86_64" and any(machine.startswith("pc-q35") for machine in target["machines"])
        for target in description["targets"]
    )


def _parse(description: dict[str, Any]) -> Firmware | None:
    features = set(description["features"])
    if "secure-boot" in features and "enrolled-keys" not in features:
        return None  # neither the one nor the other: it would check nothing until keys are enrolled
    mapping = description["mapping"]
    if mapping["executable"]["format"] != "raw":
        return None
    template = mapping.get("nvram-template")
    return Firmware(mapping["executable"]["filename"], template and template["filename"], features >= _SECURE)
