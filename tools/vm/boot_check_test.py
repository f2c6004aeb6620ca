import dataclasses
import struct

import pytest

from tools.core.errors import CheckError, UserError
from tools.image.extents import Data, Extent, Image
from tools.image.rawfile import write_raw
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.machines import emulator
from tools.testing.oracles import oracle
from tools.vm.architecture import AARCH64
from tools.vm.boot_check import BootArguments, booted
from tools.vm.console import ConsoleError

PNG = b"\x89PNG\r\n\x1a\n"
FIRMWARE = "BdsDxe"
SECONDS = 300


@pytest.fixture
def arguments(tmp_path):
    """A machine without a system, whose firmware shows something."""
    emulator()
    disk = Image(1 << 20, [Extent(0, 4096, Data(b"x" * 4096))])
    write_raw(archive_of([Member.of("disk.img", disk)]).image, tmp_path / "disk.tar")
    files = {"disk": "disk.tar", "log": "console.log", "screenshot": "screen.png"}
    return BootArguments(**{name: str(tmp_path / path) for name, path in files.items()})


def test_a_failed_check_leaves_a_picture_of_the_display(arguments, tmp_path, capsys):
    picture = tmp_path / "screen.png"
    taken = []

    def boot():
        with booted(arguments) as (machine, checks):
            machine.console.expect(FIRMWARE, SECONDS)
            checks.true("all is well", value=True, otherwise="")
            assert not picture.exists()
            checks.true("first", value=False, otherwise="it is not")
            taken.append(picture.read_bytes())
            # The machine may have ended when others fail.
            machine.qmp.execute("quit")
            checks.true("second", value=False, otherwise="it is not")

    with pytest.raises(CheckError, match="2 checks failed: first; second"):
        boot()
    assert taken[0].startswith(PNG)
    assert taken == [picture.read_bytes()]
    assert f"the display is in {picture}" in capsys.readouterr().out


def test_the_display_of_a_machine_for_arm(arguments, tmp_path):
    emulator(AARCH64)

    def boot():
        with booted(dataclasses.replace(arguments, architecture="aarch64")) as (machine, checks):
            machine.console.expect(FIRMWARE, SECONDS)
            checks.true("one", value=False, otherwise="it is not")

    with pytest.raises(CheckError):
        boot()
    picture = (tmp_path / "screen.png").read_bytes()
    assert picture.startswith(PNG)
    # IHDR, the first chunk, has width and height: https://www.w3.org/TR/png-3/#11IHDR. 640 x 480 is that of a display
    # which nothing has written to.
    assert struct.unpack(">II", picture[16:24]) == (800, 600)


def test_what_does_not_come_leaves_one_too(arguments, tmp_path):
    def boot():
        with booted(arguments) as (machine, _):
            machine.console.expect(FIRMWARE, SECONDS)
            machine.console.expect("never", 0.1)

    with pytest.raises(ConsoleError):
        boot()
    assert (tmp_path / "screen.png").read_bytes().startswith(PNG)


def test_a_machine_that_has_ended_has_no_picture(arguments, tmp_path, capsys):
    def boot():
        with booted(arguments) as (machine, _):
            machine.qmp.execute("quit")
            machine.wait_end(SECONDS)
            raise UserError("gone")

    with pytest.raises(UserError, match="gone"):
        boot()
    assert not (tmp_path / "screen.png").exists()
    assert "there is no picture of the display: QEMU" in capsys.readouterr().out


def test_a_machine_may_have_a_tpm(arguments):
    oracle("swtpm")
    with booted(dataclasses.replace(arguments, tpm=True)) as (machine, _):
        assert [each["model"] for each in machine.qmp.execute("query-tpm")] == ["tpm-crb"]
    with booted(arguments) as (machine, _):
        assert machine.qmp.execute("query-tpm") == []
