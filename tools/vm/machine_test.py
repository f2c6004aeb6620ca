from pathlib import Path

import pytest

from tools.vm.architecture import AARCH64
from tools.vm.firmware import Firmware
from tools.vm.machine import Drive, Settings, command_line, copy_variables
from tools.vm.qemu import Qemu

PLAIN = Firmware("/code,1.fd", "/variables.fd")


def command(variables="/copy.fd", **settings):
    defaults = {"qemu": Qemu("qemu", (10, 0)), "firmware": PLAIN, "accel": "tcg", "drives": []}
    return command_line(Settings(**{**defaults, **settings}), variables)


def options(words, name):
    return [words[index + 1] for index, word in enumerate(words) if word == name]


def test_firmware_comes_first_and_its_variables_are_a_copy():
    assert options(command(), "-drive") == [
        "if=pflash,unit=0,format=raw,readonly=on,file=/code,,1.fd",
        "if=pflash,unit=1,format=raw,file=/copy.fd",
    ]
    assert len(options(command(variables=None), "-drive")) == 1


def test_secure_boot_keeps_the_flash_from_the_system():
    secure = command(firmware=Firmware("/code.fd", "/variables.fd", secure_boot=True))
    assert "driver=cfi.pflash01,property=secure,value=on" in secure
    assert options(secure, "-machine") == ["q35,smm=on"]
    assert options(command(), "-machine") == ["q35"]


def test_a_machine_for_arm():
    qemu = Qemu("qemu", (11, 0), AARCH64)
    words = command(qemu=qemu, firmware=Firmware("/code.fd", "/variables.fd", secure_boot=True), display=True)
    assert options(words, "-machine") == ["virt"]
    assert not options(words, "-global")
    assert options(words, "-device")[-1] == "ramfb"


def test_variables_fill_the_flash(tmp_path):
    template = tmp_path / "template.fd"
    template.write_bytes(b"variables")
    firmware = Firmware("/code.fd", str(template))
    copies = {}
    for name, architecture in (("x86", {}), ("arm", {"architecture": AARCH64})):
        (tmp_path / name).mkdir()
        copies[name] = Path(copy_variables(firmware, tmp_path / name, **architecture))
    assert copies["x86"].read_bytes() == b"variables"
    assert copies["arm"].stat().st_size == 64 << 20
    with copies["arm"].open("rb") as file:
        assert file.read(12) == b"variables\0\0\0"
    with copies["arm"].open("r+b") as file:
        file.write(b"V")
    copy_variables(firmware, tmp_path / "arm", AARCH64)
    with copies["arm"].open("rb") as file:
        assert file.read(2) == b"Va", "those of a machine are not overwritten"


def test_drives_stand_in_their_order_and_forget_what_is_not_kept():
    words = command(
        drives=[
            Drive(path="/a,b.img", serial="one"),
            Drive(path="/b.qcow2", format="qcow2", keep=True),
            Drive(path="/c.img", read_only=True),
        ]
    )
    assert options(words, "-drive")[2:] == [
        "if=none,id=drive0,format=raw,file=/a,,b.img,cache=unsafe,discard=unmap,snapshot=on",
        "if=none,id=drive1,format=qcow2,file=/b.qcow2,cache=unsafe,discard=unmap,snapshot=off",
        "if=none,id=drive2,format=raw,file=/c.img,cache=unsafe,discard=unmap,snapshot=off,readonly=on",
    ]
    assert options(words, "-device")[:3] == [
        "virtio-blk-pci,drive=drive0,serial=one,bootindex=0",
        "virtio-blk-pci,drive=drive1,bootindex=1",
        "virtio-blk-pci,drive=drive2,bootindex=2",
    ]


def test_a_removable_drive_is_on_scsi():
    words = command(drives=[Drive(path="/a.img"), Drive(path="/b.img", read_only=True, removable=True)])
    assert options(words, "-device")[:3] == [
        "virtio-scsi-pci",
        "virtio-blk-pci,drive=drive0,bootindex=0",
        "scsi-hd,drive=drive1,removable=on,bootindex=1",
    ]
    assert options(words, "-drive")[-1].endswith("file=/b.img,cache=unsafe,discard=unmap,snapshot=off,readonly=on")
    assert "virtio-scsi-pci" not in command(drives=[Drive(path="/a.img")])


def test_a_usb_drive_is_on_xhci():
    words = command(drives=[Drive(path="/a.img"), Drive(path="/b.img", read_only=True, usb=True)])
    assert options(words, "-device")[:3] == [
        "qemu-xhci",
        "virtio-blk-pci,drive=drive0,bootindex=0",
        "usb-storage,drive=drive1,removable=on,bootindex=1",
    ]
    assert "qemu-xhci" not in command(drives=[Drive(path="/a.img", removable=True)])


def test_forwards_lead_from_the_loopback_alone():
    words = command(forwards=[(0, 22), (8080, 80)])
    assert options(words, "-netdev") == ["user,id=net0,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=tcp:127.0.0.1:8080-:80"]
    assert not options(command(network=False), "-netdev")


def test_a_watchdog_resets():
    words = command(watchdog=True)
    assert "i6300esb" in options(words, "-device")
    assert "watchdog=reset" in options(words, "-action")


@pytest.mark.parametrize(("version", "there"), [((10, 1), False), ((10, 2), True), ((11, 0), True)])
def test_qemu_ends_with_us_where_it_can(version, there):
    assert ("exit-with-parent=on" in command(qemu=Qemu("qemu", version))) is there


def test_a_detached_qemu_goes_on_without_us():
    assert "exit-with-parent=on" not in command(qemu=Qemu("qemu", (11, 0)), detached=True)


def test_a_display_leaves_the_other_devices_where_they_are():
    with_display = command(display=True, watchdog=True)
    assert with_display[-2:] == ["-device", "bochs-display"]
    assert with_display[:-2] == command(watchdog=True)


def test_further_arguments_come_last():
    assert command(arguments=["-s", "-S"])[-2:] == ["-s", "-S"]
