"""Which files the boot loader's configuration opens, executed by bash with functions for GRUB's commands.

The configuration uses no more of GRUB's language than bash has, too, but for the commands below.
"""

import subprocess
from pathlib import Path

import pytest

from tools.testing.oracles import oracle

FOLDER = Path(__file__).parent
PARTS = {"distribution": ["grub.cfg"], "own_keys": ["own_keys.cfg", "grub.cfg"]}
COMMANDS = r"""
set() { declare -g "$1"; }
regexp() { [[ $3 =~ $2 ]] && declare -g "${1#--set=1:}=${BASH_REMATCH[1]}"; }
load_env() { opened "$3"; if [[ $3 = */slots ]]; then slot=$SLOT trial=$TRIAL; fi; }
save_env() { opened "$2"; }
chainloader() { opened "$1"; }
linux() { opened "$1"; }
initrd() { opened "$1"; }
boot() { exit; }
sleep() { :; }
reboot() { exit; }
opened() { builtin echo "$1" >&3; }
echo() { :; }
"""


def configuration(mode):
    return "".join((FOLDER / part).read_text() for part in PARTS[mode])


def files(mode, slot="A", trial="", **variables):
    """Returns the files that the configuration opens, in order.

    Args:
        mode: the mode of trust.
        slot: the confirmed slot.
        trial: the slot to try.
        variables: of GRUB.
    """
    before = "".join(f"{name}='{value}'\n" for name, value in {**variables, "SLOT": slot, "TRIAL": trial}.items())
    command = ["bash", "-c", f"exec 3>&1 >/dev/null\n{COMMANDS}{before}{configuration(mode)}"]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={}).stdout.splitlines()


@pytest.mark.parametrize("mode", PARTS)
def test_the_configuration_is_grub_script(mode, tmp_path):
    (tmp_path / "grub.cfg").write_text(configuration(mode))
    subprocess.run([oracle("grub-script-check"), tmp_path / "grub.cfg"], check=True)


@pytest.mark.parametrize(
    ("slot", "trial", "expected"), [("A", "", 2), ("B", "", 4), ("A", "B", 4), ("B", "A", 2), ("C", "", 2)]
)
def test_own_keys_read_the_disk_that_the_firmware_started_from(slot, trial, expected):
    """Neither $prefix nor $root, which other disks may have set, has a say in it."""
    other = {"prefix": "(hd0,gpt1)/EFI/debian", "root": "hd0,gpt1", "boot_disk": "hd0"}
    found = files("own_keys", slot, trial, loader_path="(hd3,gpt1)/EFI/BOOT", **other)
    state = ["(hd3,gpt1)/EFI/debian/slots"] * (2 if trial else 1)
    assert found == [*state, f"(hd3,gpt{expected})/uki.efi"]


@pytest.mark.parametrize("slot", ["A", "B"])
def test_the_distribution_reads_the_disk_of_its_prefix(slot):
    found = files("distribution", slot, prefix="(hd3,gpt1)/EFI/debian", root="hd0,gpt1", boot_disk="hd0")
    assert found[0] == "(hd3,gpt1)/EFI/debian/slots"
    number = {"A": 2, "B": 4}[slot]
    assert found[1:] == [f"(hd3,gpt{number})/{name}" for name in ("boot_args", "vmlinuz", "initrd.img")]


@pytest.mark.parametrize("path", ["", "(cd0)/EFI/BOOT", "/EFI/BOOT", "(memdisk)/"])
def test_a_loader_from_elsewhere_reads_no_disk(path):
    """GRUB finds no disk without a name."""
    found = files("own_keys", loader_path=path, prefix="(hd0,gpt1)/EFI/debian", root="hd0,gpt1")
    assert found == ["(,gpt1)/EFI/debian/slots", "(,gpt2)/uki.efi"]


def test_own_keys_leave_the_prefix_in_memory():
    """GRUB would read lists of commands, and modules, from a prefix on a disk."""
    lines = (FOLDER / "own_keys.cfg").read_text().splitlines()
    assert not [line for line in lines if "prefix" in line and not line.startswith("#")]
