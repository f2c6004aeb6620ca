"""What a toolchain brings is taken instead of what the machine has."""

import pytest

from tools.core.errors import UserError
from tools.vm import firmware
from tools.vm.firmware import Firmware, firmware_with
from tools.vm.toolchain import checked_files

MACHINE = Firmware("/machine/code", "/machine/variables")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(firmware, "find_firmware", lambda secure_boot, architecture: MACHINE)
    for name in ("qemu", "code", "variables", "keys"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_paths_are_absolute(files):
    assert checked_files({"qemu": "qemu"}) == {"qemu": str(files / "qemu")}
    assert checked_files(None) == {}


def test_firmware(files):
    own = {"code": "code", "variables": "variables"}
    assert firmware_with(False, None, own) == Firmware("code", "variables")
    assert firmware_with(False, None, {"code": "code"}) == Firmware("code")
    assert firmware_with(True, None, own) is MACHINE
    assert firmware_with(False, None, {"qemu": "qemu"}) is MACHINE
    secure = {"secure_boot_code": "code", "secure_boot_variables": "variables"}
    assert firmware_with(True, None, secure) == Firmware("code", "variables", secure_boot=True)
    assert firmware_with(False, "keys", secure) == Firmware("code", "keys", secure_boot=True)
    assert firmware_with(False, None, secure) is MACHINE


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"firmware": "code"}, "--toolchain: firmware: is none of qemu, qemu_img, code"),
        ({"qemu": "none"}, "--toolchain: qemu: none: is missing; leave it out"),
    ],
)
def test_mistakes(files, given, message):
    with pytest.raises(UserError, match=message):
        checked_files(given)
