import io
import tarfile

import pytest

from tools.core.errors import UserError
from tools.grub.modules import MEMORY_DISK, MODULE, in_order, memory_disk, read_dependencies, section

LIST = "normal: boot terminal\nboot:\nterminal: boot\ntar:\n"


def test_modules_come_after_those_that_they_need():
    dependencies = read_dependencies(LIST, "moddep.lst")
    assert in_order(["tar", "normal", "boot"], dependencies) == ["tar", "boot", "terminal", "normal"]


@pytest.mark.parametrize("wanted", [["none"], ["a"], ["c"]])
def test_modules_that_cannot_be_loaded(wanted):
    with pytest.raises(UserError, match="is not a module of this GRUB, or needs itself"):
        in_order(wanted, {"a": ["b"], "b": ["a"], "c": ["none"]})


def test_a_line_that_is_not_one():
    with pytest.raises(UserError, match=r"moddep\.lst:2: is not a line MODULE: MODULES"):
        read_dependencies("a: b\nb\n", "moddep.lst")


def test_the_memory_disk_depends_on_contents_alone():
    files = {"b": b"2", "a": b"1" * 600}
    first = memory_disk(files)
    assert first == memory_disk(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert [(each.name, each.mtime, each.uid, each.uname) for each in archive] == [("a", 0, 0, ""), ("b", 0, 0, "")]
        assert archive.extractfile("a").read() == b"1" * 600


def test_objects_are_aligned_as_grub_steps_over_them():
    made = section([(MODULE, b"12345"), (MEMORY_DISK, b"disk")])
    assert made[:24] == b"mimg" + bytes(4) + (24).to_bytes(8, "little") + len(made).to_bytes(8, "little")
    assert made[24:40] == (0).to_bytes(4, "little") + (16).to_bytes(4, "little") + b"12345\0\0\0"
    assert made[40:48] == (1).to_bytes(4, "little") + (520).to_bytes(4, "little")
    assert len(made) == 48 + 512
