import pytest

from tools.core.errors import UserError
from tools.testing.oracles import oracle, unavailable
from tools.vm.architecture import AARCH64, ARCHITECTURES, X86_64
from tools.vm.console import ConsoleError
from tools.vm.firmware import Firmware, find_firmware
from tools.vm.machine import Drive, Machine, Settings, create_overlay
from tools.vm.network import forwarded_port, greeting
from tools.vm.qemu import Qemu, accelerator, find_qemu, option_value, reaches_firmware


def fake(tmp_path, text, status=0):
    path = tmp_path / "qemu"
    path.write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


def test_takes_what_is_new_enough(tmp_path):
    qemu = find_qemu(fake(tmp_path, "QEMU emulator version 10.0.2 (Debian 1:10.0.2)"))
    assert qemu.version == (10, 0)
    assert qemu.architecture is X86_64
    assert find_qemu(qemu.program, AARCH64).architecture is AARCH64


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("QEMU emulator version 9.2.4", 0, "is version 9.2; 10.0 or newer is needed"),
        ("something else", 0, "is not QEMU: --version says 'something else'"),
        ("", 1, "cannot be run"),
    ],
)
def test_what_is_not_is_refused(tmp_path, text, status, message):
    with pytest.raises(UserError, match=message):
        find_qemu(fake(tmp_path, text, status))


def test_what_is_missing_says_what_to_install(tmp_path):
    with pytest.raises(UserError, match="not found; install QEMU 10 or newer"):
        find_qemu(str(tmp_path / "nothing"))


@pytest.mark.parametrize(("name", "package"), [("x86_64", "qemu-system-x86"), ("aarch64", "qemu-system-arm")])
def test_each_architecture_has_a_program_and_package(monkeypatch, tmp_path, name, package):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=rf"^qemu-system-{name}: not found; .* \(Debian: {package}\)$"):
        find_qemu(architecture=ARCHITECTURES[name])


def test_commas_are_written_twice():
    assert option_value("a,b,,c") == "a,,b,,,,c"


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def qemu(request):
    architecture = ARCHITECTURES[request.param]
    oracle(architecture.program)
    try:
        return find_qemu(architecture=architecture)
    except UserError as error:
        unavailable(str(error))


@pytest.fixture(scope="module")
def firmware(qemu):
    try:
        return find_firmware(architecture=qemu.architecture)
    except UserError as error:
        unavailable(str(error))


def test_emulation_reaches_the_firmware(qemu, firmware):
    assert reaches_firmware(qemu, firmware, "tcg")


def test_an_accelerator_that_is_none_does_not(qemu, firmware):
    assert not reaches_firmware(qemu, firmware, "nonsense")


@pytest.mark.parametrize(
    ("exists", "works", "host", "expected"),
    [
        (False, True, "x86_64", "tcg,thread=multi"),
        (True, False, "x86_64", "tcg,thread=multi"),
        (True, True, "aarch64", "tcg,thread=multi"),
        (True, True, "x86_64", "kvm"),
    ],
)
def test_without_kvm_machines_are_emulated(monkeypatch, tmp_path, exists, works, host, expected):
    device = tmp_path / "kvm"
    if exists:
        device.touch()
    monkeypatch.setattr("tools.vm.qemu._KVM", str(device))
    monkeypatch.setattr("platform.machine", lambda: host)
    monkeypatch.setattr("tools.vm.qemu.reaches_firmware", lambda _qemu, _firmware, accel: works and accel == "kvm")
    assert accelerator(Qemu("qemu", (10, 0)), Firmware("code")) == expected


@pytest.fixture
def settings(qemu, firmware, tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    return Settings(
        qemu=qemu, firmware=firmware, accel="tcg", drives=[Drive(path=str(disk))], memory_mib=256, forwards=[(0, 22)]
    )


def test_a_machine_starts_is_reset_and_ends(settings, tmp_path):
    log = tmp_path / "console.log"
    with Machine(settings, tmp_path, log) as machine:
        machine.console.expect("BdsDxe: ", 120)
        assert machine.qmp.execute("query-status")["status"] == "running"
        assert greeting(forwarded_port(machine, 22), 1) == b""
        machine.qmp.execute("system_reset")
        machine.qmp.wait_event("RESET", 30)
        machine.console.expect("BdsDxe: ", 120)
        machine.qmp.execute("quit")
        assert machine.wait_end(30) == 0
        with pytest.raises(ConsoleError, match="ended before it showed 'more'"):
            machine.console.expect("more", 30)
    assert log.read_bytes().count(b"BdsDxe: ") >= 2


def test_a_machine_ends_with_its_block(settings, tmp_path):
    with pytest.raises(KeyError), Machine(settings, tmp_path, tmp_path / "log") as machine:
        raise KeyError
    with pytest.raises(ConsoleError):
        machine.console.write("x")


def test_a_machine_that_does_not_start_says_why(settings, tmp_path):
    broken = Settings(
        qemu=settings.qemu, firmware=settings.firmware, accel="tcg", drives=[Drive(path=str(tmp_path / "nothing.img"))]
    )
    with pytest.raises(UserError, match=r"does not start: .*nothing\.img"), Machine(broken, tmp_path, tmp_path / "log"):
        pytest.fail("it started")


def test_overlays_leave_the_image_alone(qemu, firmware, tmp_path):
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    overlay = tmp_path / "overlay.qcow2"
    create_overlay(oracle("qemu-img"), str(overlay), str(image))
    assert overlay.read_bytes()[:4] == b"QFI\xfb"
    assert overlay.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UserError, match="cannot be created by qemu-img"):
        create_overlay(oracle("qemu-img"), str(tmp_path / "no" / "x"), str(image))
