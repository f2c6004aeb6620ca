"""Boots the images of dev in own-key mode, with firmware that trusts their key alone.

In most tests the slots have a small program in place of a kernel, which shows that it was started.
"""

from pathlib import Path

import pefile
import pytest
from guestos.boot_state import (
    DAMAGED,
    FAILSAFE_CHECK,
    FALLBACK,
    FIRST_BOOT,
    INSTALL,
    STABLE,
    BootState,
    decide,
)
from loader_files import tree, without_signature
from loader_machine import KERNEL_STARTED, Booted, LoaderMachine, Parts
from upgrade_checks import check_own_keys

from tools.commands.boot_args import environment_block
from tools.ext4.reader import read_ext4
from tools.fat.reader import read_fat
from tools.fat.writer import Options, fat_image
from tools.image.extents import Image
from tools.image.rawfile import open_raw, write_raw
from tools.tar.image_file import open_image
from tools.testing.machines import emulator
from tools.testing.own_keys import loader_signature, own_firmware, signed_program
from tools.testing.sample_disk import ext4
from tools.testing.uefi_files import make_certificate
from tools.tree.node import Directory, File, Symlink
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.shell import Shell

MIB = 1 << 20
DISK = Path("ic-os/guestos/dev/own-keys-disk-img.tar")
ESP = Path("ic-os/guestos/dev/own-keys-esp.img.tar")
BOOT = Path("ic-os/guestos/dev/own-keys-boot.img.tar")
PROGRAM = Path("ic-os/guestos/tests/slot_program.efi")
KEYS = (Path("ic-os/guestos/secure-boot-keys/test-only.key.pem"), Path("ic-os/guestos/secure-boot-keys/test-only.pem"))

STARTED = r"Slot program started\."
SECTIONS = {".text", ".sbat", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"}
BOOT_SECONDS = 600
ATTACKS = ["rdinit=/usr/bin/sh", "init=/bin/sh", "systemd.debug_shell", "systemd.unit=rescue.target"]
STATES = [
    BootState("A", INSTALL, "A"),
    BootState("B", STABLE, "B"),
    BootState("B", FIRST_BOOT, "A"),
    BootState("B", FAILSAFE_CHECK, "A"),
    BootState("A", FAILSAFE_CHECK, "A"),
    BootState("A", STABLE, "B"),
    BootState(None, STABLE, "B"),
]
"""A state for each row of the table; grub_state_test has all of them, with the same configuration."""


def boot_partition(program, signature):
    """Returns the image of a boot partition like that of dev, with another program."""
    files = {"uki.efi": program, "uki.efi.sig": signature}
    root = tree({name: data for name, data in files.items() if data is not None})
    root.entries |= {name: node for name, node in boot_files().items() if isinstance(node, Symlink)}
    return ext4(root, size=(len(program) // MIB + 4) * MIB)


def boot_files():
    """Returns the entries of the boot partition of dev."""
    return {name: node for name, node in read_ext4(open_image(BOOT)).root.entries.items() if name != b"lost+found"}


def content(node):
    """Returns the content of a file."""
    return node.content.read(0, node.content.size)


def loader_of(esp):
    """Returns the boot loader of an EFI system partition."""
    return content(read_fat(open_image(esp), "esp").root.entries[b"EFI"].entries[b"BOOT"].entries[b"BOOTX64.EFI"])


def system_partition(loader, **more):
    """Returns the image of an EFI system partition."""
    files = {"EFI/BOOT/BOOTX64.EFI": loader, **more}
    return fat_image(tree(files), Options(size=100 * MIB, volume_id=1, label="ESP"))


def config_store(floor):
    """Returns the image of a config store with a rollback floor."""
    return ext4(tree({"rollback-index.txt": f"{floor}\n".encode()}))


def signature(data, key=KEYS[0]):
    """Returns the signature of a file for the boot loader."""
    return loader_signature(Image.from_bytes(data), Path(key))


def block(*lines):
    """Returns a GRUB environment block with given lines, whatever is in them."""
    return "\n".join(["# GRUB Environment Block", *lines, ""]).encode().ljust(1024, b"#")


def flipped(data, place):
    """Returns data with one bit changed."""
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def signed(path, key, certificate):
    """Returns the content of a program with a signature for the firmware."""
    image = signed_program(open_raw(path), key, certificate)
    return image.read(0, image.size)


@pytest.fixture(scope="module")
def program():
    return signed(PROGRAM, *KEYS)


@pytest.fixture(scope="module")
def own_emulator(tmp_path_factory):
    """QEMU with firmware that trusts the test's certificate alone."""
    return emulator() | {"firmware": own_firmware(tmp_path_factory.mktemp("keys"), KEYS[1])}


@pytest.fixture(scope="module")
def make(tmp_path_factory, own_emulator, program):
    """Returns a function that creates a machine."""
    parts = Parts(esp=ESP, kernel=PROGRAM, initramfs=PROGRAM)
    defaults = {"boot_image": boot_partition(program, signature(program)), "started": STARTED}

    def create(**options):
        return LoaderMachine(own_emulator, parts, tmp_path_factory.mktemp("machine"), **defaults | options)

    return create


@pytest.fixture(scope="module")
def machine(make):
    with make() as machine:
        yield machine


@pytest.mark.parametrize("state", STATES, ids=lambda state: f"{state.alternative}-{state.cycle}-{state.confirmed}")
def test_the_slot_is_that_of_the_table(machine, state):
    machine.put_state(state.alternative, state.cycle, state.confirmed)
    decision = decide(state)
    assert machine.boot() == Booted(decision.slot, decision.reason)
    assert machine.read_state() == decision.after


def test_a_file_of_variables_is_data(machine):
    """Other variables, and what would be code, in the files that the boot loader reads."""
    evil = ["trust=x", "check_signatures=no", "superusers=a", "files=$(reboot)"]
    state = block(*evil, "boot_alternative=B", "boot_cycle=`reboot`")
    machine.put({"grubenv": state, "confirmed": block(*evil, "confirmed_slot=B")})
    assert machine.boot() == Booted("B", DAMAGED)


@pytest.fixture(scope="module")
def changes(program, tmp_path_factory):
    """Boot partitions whose image must not be started."""
    other = make_certificate(tmp_path_factory.mktemp("other"), "other")
    unsigned, foreign = PROGRAM.read_bytes(), signed(PROGRAM, *other)
    return {
        "a bit of the code": (flipped(program, 0x1100), signature(program)),
        "a bit of the signature": (program, flipped(signature(program), -1)),
        "no signature for the loader": (program, None),
        "a signature of another key for the loader": (program, signature(program, other[0])),
        "no signature for the firmware": (unsigned, signature(unsigned)),
        "a signature of another key for the firmware": (foreign, signature(foreign)),
        "an empty image": (b"", signature(b"")),
    }


CHANGES = [
    "a bit of the code",
    "a bit of the signature",
    "no signature for the loader",
    "a signature of another key for the loader",
    "no signature for the firmware",
    "a signature of another key for the firmware",
    "an empty image",
]


@pytest.fixture(scope="module")
def changed_machine(make):
    with make() as machine:
        yield machine


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_image_is_not_started(changed_machine, changes, tmp_path, change):
    write_raw(boot_partition(*changes[change]), tmp_path / "image")
    changed_machine.put_partition("B_boot", tmp_path / "image")
    changed_machine.put_state("B", FIRST_BOOT, "A")
    assert changed_machine.boot() == Booted("A", FALLBACK)
    assert changed_machine.read_state() == BootState("A", STABLE, "A")


def changed_loaders(loader, folder):
    """Returns loaders with a bit changed in each section, in the headers, the configuration and the signature; one
    without a signature, and one with that of another key."""
    (folder / "unsigned").write_bytes(without_signature(loader))
    file = pefile.PE(data=loader, fast_load=True)
    places = [section.PointerToRawData + 16 for section in file.sections]
    assert len(places) == 5
    places += [file.FILE_HEADER.get_file_offset() + 4, loader.index(b"Chooses the slot to boot"), len(loader) - 64]
    bad = [flipped(loader, place) for place in places]
    bad += [(folder / "unsigned").read_bytes()]
    return [*bad, signed(folder / "unsigned", *make_certificate(folder, "other"))]


def changed_images(image, folder):
    """Returns unified kernel images with a bit changed in each section, in the headers and the signature; one with
    another command line, one without a signature, and one with that of another key."""
    (folder / "unsigned").write_bytes(without_signature(image))
    file = pefile.PE(data=image, fast_load=True)
    places = {each.Name.rstrip(b"\0").decode(): each.PointerToRawData for each in file.sections}
    assert set(places) >= SECTIONS
    offsets = [*(places[name] for name in sorted(SECTIONS)), file.FILE_HEADER.get_file_offset() + 4, len(image) - 64]
    bad = [flipped(image, place) for place in offsets]
    assert image.count(b" fsck.repair=yes ") == 1
    bad += [image.replace(b" fsck.repair=yes ", b" rdinit=/bin/sh ")]
    bad += [(folder / "unsigned").read_bytes()]
    return [*bad, signed(folder / "unsigned", *make_certificate(folder, "other"))]


def test_nothing_that_was_changed_is_started(own_emulator, tmp_path, artifacts):
    """The firmware refuses the programs of all disks but the last one, which then finds no slot on its disk."""
    loader, image = loader_of(ESP), content(boot_files()[b"uki.efi"])
    bad = [*changed_loaders(loader, tmp_path), *changed_images(image, tmp_path)]
    drives = []
    for number, program in enumerate([*bad, loader]):
        write_raw(system_partition(program), tmp_path / f"{number}.img")
        drives.append(Drive(path=str(tmp_path / f"{number}.img"), read_only=True))
    settings = Settings(**own_emulator, drives=drives, network=False, memory_mib=1024)
    with Machine(settings, tmp_path, artifacts / "console.log") as machine:
        machine.console.expect(r"Neither slot can be started\.", BOOT_SECONDS)
        text = machine.console.text
    assert text.partition("Starting slot")[0].count("Access Denied") == len(bad)
    assert "Linux version" not in text


def test_nobody_gets_a_command_line(make):
    """Keys while the loader waits, and after it."""
    with make(bootable="") as machine:
        machine.put_state("A", STABLE, "A")
        machine.start()
        machine.expect(r"Neither slot can be started\. Rebooting in 30 seconds\.")
        machine.write("\x1b\x1bc\ne\nls\nroot\n\n")
        machine.expect(r"Neither slot can be started\. Rebooting in 30 seconds\.")
        assert "grub>" not in machine.text
        assert "grub rescue>" not in machine.text


def test_the_kernel_has_the_arguments_of_the_image_alone(make):
    """With the distribution's loader these arguments on the disk start a shell; other configurations are not read."""
    root = Directory(entries=boot_files())
    root.entries[b"extra_boot_args"] = File(content=Image.from_bytes(environment_block(["quiet", *ATTACKS])))
    boot = ext4(root, size=open_image(BOOT).size)
    config = b"echo another configuration\n"
    paths = [f"{folder}grub.cfg" for folder in ("", "EFI/BOOT/", "EFI/debian/", "boot/grub/", "grub/")]
    esp = system_partition(loader_of(ESP), **dict.fromkeys(paths, config))
    with make(boot_image=boot, esp=esp, started=KERNEL_STARTED) as machine:
        state = block("boot_alternative=A", "boot_cycle=stable", f"extra_boot_args={' '.join(ATTACKS)}")
        machine.put({"grub.cfg": config, "grubenv": state, "confirmed": block("confirmed_slot=A")})
        assert machine.boot() == Booted("A", STABLE)
        machine.expect(
            r"Kernel command line: lockdown=integrity .* dfinity\.rollback_index=0 .* dfinity\.root_hash=\w{64} --$"
        )
        machine.expect(r"initramfs: the image was loaded from the boot partition of slot A \(stable\)")
        for text in ("another configuration", *ATTACKS):
            assert text not in machine.text


def test_arguments_of_the_host_are_refused(own_emulator, tmp_path, artifacts):
    """systemd's stub appends what the SMBIOS tables have; the kernel and the initramfs take none of it."""
    write_raw(open_image(DISK), tmp_path / "disk.img")
    extra = f"io.systemd.stub.kernel-cmdline-extra={ATTACKS[0]}"
    settings = Settings(
        **own_emulator,
        drives=[Drive(path=str(tmp_path / "disk.img"))],
        network=False,
        arguments=["-smbios", f"type=11,value={extra}"],
    )
    with Machine(settings, tmp_path, artifacts / "smbios-console.log") as machine:
        machine.console.expect(rf"Kernel command line: .* -- {ATTACKS[0]}", BOOT_SECONDS)
        refused = rf"initramfs: {ATTACKS[0]} on the kernel command line is behind the end of the signed one"
        machine.console.expect(refused, BOOT_SECONDS)


def test_an_image_below_the_rollback_floor_is_not_started(make, tmp_path):
    """The same image, with the index 0, in both slots: slot and boot reason come from where it was loaded from."""
    below = r"initramfs: slot %s has the rollback index 0, and this machine starts none below 1"
    with make(boot_image=open_image(BOOT), started=KERNEL_STARTED) as machine:
        for floor in (0, 1):
            write_raw(config_store(floor), tmp_path / "config")
            machine.put_partition("config", tmp_path / "config")
            machine.put_state("B", FIRST_BOOT, "A")
            assert machine.boot() == Booted("B", FIRST_BOOT)
            machine.expect(r"initramfs: the image was loaded from the boot partition of slot B \(first_boot\)")
            machine.expect(below % "B" if floor else r"initramfs: /dev/\w+ does not match the root hash")
        assert machine.wait_boot() == Booted("A", FALLBACK)
        machine.expect(r"initramfs: the image was loaded from the boot partition of slot A \(fallback\)")
        machine.expect(below % "A")


def test_the_disk_image_boots(own_emulator, tmp_path, artifacts):
    write_raw(open_image(DISK), tmp_path / "disk.img")
    drive = Drive(path=str(tmp_path / "disk.img"))
    settings = Settings(**own_emulator, drives=[drive], network=False, memory_mib=2048)
    with Machine(settings, tmp_path, artifacts / "disk-console.log") as machine:
        shell = Shell(machine.console)
        shell.login("root", "root", BOOT_SECONDS)
        check_own_keys(shell)
