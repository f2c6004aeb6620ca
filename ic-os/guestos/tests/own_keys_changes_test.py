"""In own-key mode, a machine whose disk was changed starts what was signed, or nothing.

The root is a small one without a system: the initramfs verifies it, and says that it starts it. Tests change a bit in
the root, in its hash tree, and in the file system that has the boot loader; they also put files beside the signed
image, where systemd's stub looks for more.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from guestos.boot_state import FALLBACK, FIRST_BOOT, STABLE
from loader_files import tree
from loader_machine import KERNEL_STARTED, Booted, LoaderMachine, Parts, find_loader
from update_images import REASONS

from tools.commands.boot_args import environment_block
from tools.fat.writer import Options, fat_image
from tools.image.extents import Image
from tools.image.rawfile import open_raw, write_raw
from tools.pe import uki
from tools.tar.image_file import open_image
from tools.testing.machines import emulator
from tools.testing.own_keys import loader_signature, own_firmware, signed_program
from tools.testing.pe_files import SBAT, pe_file
from tools.testing.sample_disk import ext4, root_tree
from tools.tree.node import Symlink
from tools.verity.superblock import Superblock
from tools.verity.tree import hash_tree

KIB, MIB = 1 << 10, 1 << 20
ESP = Path("ic-os/guestos/dev/own-keys-esp.img.tar")
KERNEL = Path("ic-os/guestos/dev/initrd.vmlinuz")
INITRAMFS = Path("ic-os/guestos/dev/initrd.img")
STUB = Path("ic-os/guestos/dev/own-keys-uki.stub")
KEYS = [Path(f"ic-os/guestos/secure-boot-keys/test-only.{suffix}") for suffix in ("key.pem", "pem")]

ROOT = ("dev/", "proc/", "run/", "sys/", "etc/machine-id = ", "opt/ic/share/rollback-index.txt = 0")
ROOT_SIZE = 768 * KIB
"""Bytes of data before the hash tree. More than 128 blocks, so that the tree has two levels."""
STARTS = "initramfs: starting slot"
ATTACK = "rdinit=/usr/bin/sh"


@dataclass(frozen=True)
class System:
    """A root with its hash tree, and the signed kernel image that has its root hash."""

    root: Image
    program: Image
    signature: bytes

    def files(self, folder=""):
        """Returns the files that the boot loader starts, by their paths below a folder."""
        program = self.program.read(0, self.program.size)
        return {f"{folder}uki.efi": program, f"{folder}uki.efi.sig": self.signature}


def make_system():
    data = ext4(root_tree(*ROOT), size=ROOT_SIZE)
    verity = hash_tree(data, Superblock(data_size=data.size, salt=b"salt", uuid=UUID(int=2)))
    assert verity.image.size == 4 * 4096, "superblock, highest level, and two blocks of the lower one"
    parts = uki.Parts(
        stub=open_raw(STUB),
        kernel=open_raw(KERNEL),
        initrd=open_raw(INITRAMFS),
        os_release=Image.from_bytes(b"ID=guestos\n"),
        words=[
            *("console=ttyS0,115200n8", "panic=600", "dfinity.rollback_index=0"),
            *(f"dfinity.hash_offset={data.size}", f"dfinity.root_hash={verity.root_hash.hex()}"),
        ],
    )
    program = signed_program(uki.unified_kernel_image(parts), *KEYS)
    root = Image.compose(MIB, [(0, data), (data.size, verity.image)])
    return System(root, program, loader_signature(program, KEYS[0]))


def boot_size(system):
    """Returns the size of a boot partition, which has room for the image twice."""
    return (2 * system.program.size // MIB + 8) * MIB


@pytest.fixture(scope="module")
def system():
    return make_system()


@pytest.fixture(scope="module")
def machine(system, tmp_path_factory):
    """A machine with the same system in both slots; its firmware trusts the test's certificate alone."""
    folder = tmp_path_factory.mktemp("machine")
    boot = tree(system.files())
    boot.entries |= {reason.encode(): Symlink(target=b".") for reason in REASONS}
    own = emulator() | {"firmware": own_firmware(folder, KEYS[1])}
    parts = Parts(esp=ESP, kernel=KERNEL, initramfs=INITRAMFS)
    image = ext4(boot, size=boot_size(system))
    with LoaderMachine(own, parts, folder, boot_image=image, started=KERNEL_STARTED) as machine:
        yield machine


@pytest.fixture
def put(machine, tmp_path):
    """Returns a function that writes an image to a partition."""

    def write(name, image):
        write_raw(image, tmp_path / name)
        machine.put_partition(name, tmp_path / name)

    return write


def flipped(image, place):
    """Returns an image with one bit changed."""
    data = bytearray(image.read(0, image.size))
    data[place] ^= 1
    return Image.from_bytes(bytes(data))


PLACES = {
    "signature of the superblock": ROOT_SIZE,
    "number of blocks in the superblock": ROOT_SIZE + 73,
    "salt in the superblock": ROOT_SIZE + 88,
    "highest level of the tree": ROOT_SIZE + 4096,
    "lower level of the tree": ROOT_SIZE + 2 * 4096,
    "superblock of the file system": 1024 + 0x78,
}
REFUSED = r"does not match the root hash|panic.*dm-verity"


def test_the_root_that_was_signed_is_started(machine, put, system):
    put("A_root", system.root)
    machine.put_state("A", STABLE, "A")
    assert machine.boot() == Booted("A", STABLE)
    machine.expect(f"{STARTS} A from /dev/vda5")


@pytest.mark.parametrize("what", PLACES)
def test_a_changed_root_is_not_started(machine, put, system, what):
    put("A_root", flipped(system.root, PLACES[what]))
    machine.put_state("A", STABLE, "A")
    begin = len(machine.text)
    assert machine.boot() == Booted("A", STABLE)
    machine.expect(f"{REFUSED}|{STARTS}")
    assert STARTS not in machine.text[begin:]


def test_after_a_changed_root_the_other_slot_is_started(machine, put, system):
    """What the initramfs reads of the system on trial is changed."""
    index = system.root.read(0, ROOT_SIZE).index(b"0\0\0\0", 64 * KIB)
    put("A_root", system.root)
    put("B_root", flipped(system.root, index))
    machine.put_state("B", FIRST_BOOT, "A")
    begin = len(machine.text)
    assert machine.boot() == Booted("B", FIRST_BOOT)
    machine.expect(f"{REFUSED}|{STARTS}")
    assert STARTS not in machine.text[begin:]
    assert machine.boot() == Booted("A", FALLBACK)
    machine.expect(f"{STARTS} A from /dev/vda5")


def test_files_beside_the_image_are_no_part_of_it(machine, put, system):
    """Firmware reads FAT, so that systemd's stub finds them: arguments, archives for the initramfs, credentials.

    The signed image itself, which firmware accepts, is none of them, either.
    """
    addon = pe_file([(".cmdline", ATTACK.encode()), (".initrd", b"070701"), (".sbat", SBAT)])
    files = system.files("stable/")
    files |= {"stable/uki.efi.extra.d/signed.addon.efi": files["stable/uki.efi"]}
    files |= dict.fromkeys(["stable/uki.efi.extra.d/evil.addon.efi", "loader/addons/evil.addon.efi"], addon)
    files |= dict.fromkeys(["stable/uki.efi.extra.d/evil.cred", "loader/credentials/evil.cred"], b"secret")
    files |= {"stable/uki.efi.extra.d/evil.raw": bytes(4096)}
    put("A_root", system.root)
    put("A_boot", fat_image(tree(files), Options(size=boot_size(system), volume_id=3)))
    machine.put_state("A", STABLE, "A")
    begin = len(machine.text)
    assert machine.boot() == Booted("A", STABLE)
    machine.expect(r"Kernel command line: console=ttyS0,115200n8 panic=600( dfinity\.\w+=\w+){3} --$")
    machine.expect(f"{STARTS} A from /dev/vda5")
    text = machine.text[begin:]
    assert ATTACK not in text
    assert text.count("evil.addon.efi', ignoring: Access denied") == 2, "the stub has found them"
    assert "signed.addon.efi is a UKI, not an addon, ignoring" in text


NOT_FOUND, DENIED, STARTED = ": Not Found", ": Access Denied", "Starting slot A (stable)."


def test_a_changed_system_partition_starts_the_signed_loader_or_nothing(machine, put):
    esp = open_image(ESP)
    data = esp.read(0, esp.size)
    table, loader = struct.unpack_from("<H", data, 14)[0] * 512, data.index(b"BOOTX64 EFI")
    places = {
        "the size of a sector": (11, NOT_FOUND),
        "the size of a cluster": (13, NOT_FOUND),
        "code that no firmware runs": (0x1A0, STARTED),
        "the table": (table + 4 * 4, DENIED),
        "the name of a directory": (data.index(b"EFI        \x10"), NOT_FOUND),
        "the name of the boot loader": (loader, NOT_FOUND),
        "the first cluster of the boot loader": (loader + 26, NOT_FOUND),
        "the size of the boot loader": (loader + 28, DENIED),
    }
    machine.put_state("A", STABLE, "A")
    found = {}
    for what, (place, _) in places.items():
        put("esp", flipped(esp, place))
        begin = len(machine.text)
        machine.start()
        machine.expect(r"^Starting slot [AB] \(\w+\)\.$|Press any key to enter the Boot Manager Menu")
        text = machine.text[begin:]
        found[what] = [outcome for outcome in (NOT_FOUND, DENIED, STARTED) if outcome in text]
    assert found == {what: [outcome] for what, (_, outcome) in places.items()}


def test_in_the_other_mode_an_argument_on_the_disk_starts_a_shell(tmp_path):
    """What the tests of own-key mode try is an attack indeed."""
    files = {"vmlinuz": KERNEL.read_bytes(), "initrd.img": INITRAMFS.read_bytes()}
    size = (sum(map(len, files.values())) // MIB + 4) * MIB
    files |= {"extra_boot_args": environment_block([ATTACK])}
    with find_loader(Path())(tmp_path, boot_image=ext4(tree(files), size=size)) as machine:
        machine.put_state("A", STABLE, "A")
        assert machine.boot() == Booted("A", STABLE)
        machine.expect("Run /usr/bin/sh as init process")
