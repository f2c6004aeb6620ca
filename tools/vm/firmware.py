"""Finds UEFI firmware for QEMU by the firmware descriptors that distributions install.

Descriptors are JSON files (docs/interop/firmware.json of QEMU) in the directories below. A file overrides those with
the same name in later directories; of several matching descriptors, the first by name is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools.core.errors import UserError
from tools.core.json_file import read_json
from tools.vm.architecture import X86_64, Architecture

FOLDERS = ("/etc/qemu/firmware", "/usr/local/share/qemu/firmware", "/usr/share/qemu/firmware")

_SECURE = {"secure-boot", "enrolled-keys"}
_UNWANTED = {"amd-sev-es", "amd-sev-snp", "intel-tdx"}
"""Features of firmware that is only for confidential virtual machines."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """A UEFI firmware.

    Attributes:
        code: path of its executable.
        variables: path of the template of its variable store; None if all is in one file.
        secure_boot: whether it supports Secure Boot and has enrolled keys.
    """

    code: str
    variables: str | None = None
    secure_boot: bool = False


def find_firmware(
    secure_boot: bool = False, folders: Sequence[str] = FOLDERS, architecture: Architecture = X86_64
) -> Firmware:
    """Returns the firmware for the machines of an architecture.

    Args:
        secure_boot: whether Secure Boot must be enabled, with the enrolled keys of Microsoft and the distributions.
        folders: directories of descriptors, in order of precedence.
        architecture: the processor of the machines.

    Raises:
        UserError: no firmware matches.
    """
    descriptions: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(Path(folder).glob("*.json")):
            descriptions.setdefault(path.name, path)
    for _, path in sorted(descriptions.items()):
        firmware = _firmware(path, architecture)
        if firmware is not None and firmware.secure_boot == secure_boot and Path(firmware.code).exists():
            return firmware
    kind = "UEFI firmware with Secure Boot and enrolled keys" if secure_boot else "UEFI firmware"
    raise UserError(
        f"no {kind} for {architecture.program} is described in {', '.join(folders)}; "
        f"install it (Debian: {architecture.firmware_package})"
    )


def firmware_with(
    secure_boot: bool,
    variables: str | None,
    files: Mapping[str, str] | None = None,
    architecture: Architecture = X86_64,
) -> Firmware:
    """Returns the firmware that a command line asks for.

    Args:
        secure_boot: see `find_firmware`.
        variables: path of a variable store with keys for Secure Boot, instead of the enrolled ones; None for none.
        files: of a toolchain, see `tools.vm.toolchain`; what it lacks is found on the machine.
        architecture: the processor of the machine.

    Raises:
        UserError: no firmware matches, it does not fit into the machine's flash, or the variable store is missing.
    """
    if variables is not None and not Path(variables).is_file():
        raise UserError(f"{variables}: is missing; `secure_boot_keys` writes such a variable store")
    secure_boot = secure_boot or variables is not None
    found = _own_firmware(secure_boot, files or {}) or find_firmware(secure_boot, architecture=architecture)
    _check_size(found.code, architecture)
    return found if variables is None else replace(found, variables=variables)


def _check_size(code: str, architecture: Architecture) -> None:
    """Raises UserError if the executable of a firmware does not fill a machine's flash; QEMU starts with no other."""
    if architecture.flash_bytes is not None and (size := Path(code).stat().st_size) != architecture.flash_bytes:
        raise UserError(
            f"{code}: has {size} bytes, but the flash of the machine {architecture.machine} has "
            f"{architecture.flash_bytes}; pad it with zeros, as `truncate --size={architecture.flash_bytes}` does"
        )


def _own_firmware(secure_boot: bool, files: Mapping[str, str]) -> Firmware | None:
    """Returns the firmware of a toolchain; None if it has none of the kind."""
    kind = "secure_boot_" if secure_boot else ""
    code = files.get(f"{kind}code")
    return None if code is None else Firmware(code, files.get(f"{kind}variables"), secure_boot)


def _firmware(path: Path, architecture: Architecture) -> Firmware | None:
    """Reads a firmware descriptor; returns None if the firmware is not usable."""
    description = read_json(path)
    try:
        return _parse(description) if _suits(description, architecture) else None
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: is not a valid firmware descriptor: {error!r}") from error


def _suits(description: dict[str, Any], architecture: Architecture) -> bool:
    if "uefi" not in description["interface-types"] or _UNWANTED & set(description["features"]):
        return False
    # Only flash: firmware that is mapped to memory is one for confidential machines.
    if description["mapping"]["device"] != "flash" or description["mapping"].get("mode", "split") == "stateless":
        return False
    return any(
        target["architecture"] == architecture.name
        and any(machine.startswith(architecture.described_as) for machine in target["machines"])
        for target in description["targets"]
    )


def _parse(description: dict[str, Any]) -> Firmware | None:
    features = set(description["features"])
    if "secure-boot" in features and "enrolled-keys" not in features:
        return None  # supports Secure Boot, but verifies nothing without enrolled keys
    mapping = description["mapping"]
    if mapping["executable"]["format"] != "raw":
        return None
    template = mapping.get("nvram-template")
    return Firmware(mapping["executable"]["filename"], template and template["filename"], features >= _SECURE)
