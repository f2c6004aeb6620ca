"""Compares our GRUB with the one that grub-mkimage makes of the same files."""

import struct
import tarfile
from pathlib import Path

import pefile
import pytest

from tools.core.errors import UserError
from tools.grub.distribution import Distribution
from tools.grub.modules import DISABLE_SHIM_LOCK, memory_disk
from tools.grub.program import _FIRST, grub_program
from tools.testing.oracles import ask

ARCHIVE = Path("tools/grub/distribution.tar")
SBAT = (
    b"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\ngrub,5,Example,grub,2.12,https://e\n"
)
CONFIG = b"echo started\nreboot\n"
KEY = b"the bytes of a key"
MODULES = ["echo", "reboot", "chain", "ext2", "fat", "part_gpt", "regexp"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the distribution's files."""
    folder = tmp_path_factory.mktemp("grub")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "usr/lib/grub/x86_64-efi"


@pytest.fixture(scope="module")
def grub(folder):
    return Distribution({path.name: path.read_bytes() for path in folder.iterdir()}, "grub.deb")


def program(grub, sbat=SBAT, key=KEY):
    image = grub_program(grub, MODULES, CONFIG, sbat, key)
    return image.read(0, image.size)


@pytest.fixture(scope="module")
def theirs(folder, tmp_path_factory):
    """What grub-mkimage makes of the same modules, files and key."""
    work = tmp_path_factory.mktemp("mkimage")
    (work / "disk").write_bytes(memory_disk({"grub.cfg": b"set check_signatures=enforce\n" + CONFIG}))
    (work / "first").write_bytes(_FIRST)
    (work / "sbat").write_bytes(SBAT)
    (work / "key").write_bytes(KEY)
    ask(
        *("grub-mkimage", f"--directory={folder}", "--format=x86_64-efi"),
        *(f"--memdisk={work / 'disk'}", "--prefix=(memdisk)/", f"--config={work / 'first'}", f"--sbat={work / 'sbat'}"),
        *(f"--pubkey={work / 'key'}", "--disable-shim-lock", f"--output={work / 'output'}"),
        *("memdisk", "normal", "tar", "gcry_rsa", "gcry_sha256", "pgp", *MODULES),
    )
    return pefile.PE(data=(work / "output").read_bytes())


@pytest.fixture(scope="module")
def ours(grub):
    return pefile.PE(data=program(grub))


def content(file, name):
    """Returns a section without the zeros at its end."""
    (section,) = [each for each in file.sections if each.Name.rstrip(b"\0").decode() == name]
    return section.get_data().rstrip(b"\0")


def words(file):
    return sorted(entry.rva for block in file.DIRECTORY_ENTRY_BASERELOC for entry in block.entries if entry.type)


def objects(file):
    """Returns the types and contents of the objects in the section mods, without their order."""
    data = content(file, "mods")
    magic, start, size = struct.unpack_from("<IxxxxQQ", data)
    assert magic == 0x676D696D
    data, found = data.ljust(size, b"\0"), []
    while start < size:
        kind, length = struct.unpack_from("<II", data, start)
        found.append((kind, data[start + 8 : start + length].rstrip(b"\0")))
        start += -(-length // 8) * 8
    assert start == size
    return sorted(found)


def test_the_kernel_is_that_of_grub_mkimage(ours, theirs):
    assert ours.OPTIONAL_HEADER.AddressOfEntryPoint == theirs.OPTIONAL_HEADER.AddressOfEntryPoint
    assert words(ours) == words(theirs)
    for name in (".text", ".data", ".sbat"):
        assert content(ours, name) == content(theirs, name)


def test_the_objects_are_those_of_grub_mkimage(ours, theirs):
    """The empty one has another type in later versions of grub-mkimage, which fits the modules of that version."""
    (empty,) = [kind for kind, data in objects(ours) if not data]
    assert empty == DISABLE_SHIM_LOCK
    assert len(objects(ours)) == len(objects(theirs))
    assert [each for each in objects(ours) if each[1]] == [each for each in objects(theirs) if each[1]]


def test_the_same_inputs_give_the_same_bytes(grub):
    assert program(grub) == program(grub)


def test_without_key_and_sbat(grub):
    file = pefile.PE(data=program(grub, sbat=b"", key=None))
    assert [each.Name.rstrip(b"\0") for each in file.sections] == [b".text", b".data", b"mods", b".reloc"]
    assert not any(kind == 4 for kind, _ in objects(file))
    assert b"check_signatures=enforce" not in file.__data__[:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel.img": None}, r"grub\.deb: does not contain kernel\.img of GRUB for x86_64-efi"),
        ({"echo.mod": None}, r"grub\.deb: does not contain echo\.mod of GRUB"),
        ({"kernel.img": b"no"}, r"grub\.deb: kernel\.img: cannot be linked"),
        ({"moddep.lst": b"\xff"}, r"grub\.deb: moddep\.lst: is not ASCII"),
        ({"moddep.lst": b"x:"}, "modules: 'memdisk' is not a module of this GRUB"),
    ],
)
def test_refuses(grub, changes, message):
    files = {name: data for name, data in (grub.files | changes).items() if data is not None}
    with pytest.raises(UserError, match=message):
        program(Distribution(files, grub.origin))
