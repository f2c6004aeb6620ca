import dataclasses
import itertools
import os
import socket
import threading

import pytest

from testnet.local import machine, process
from testnet.local.machine import Programs, settings
from tools.core.errors import UserError
from tools.testing.oracles import ask, oracle
from tools.vm.firmware import Firmware
from tools.vm.machine import command_line
from tools.vm.qemu import Qemu

PROGRAMS = Programs(Qemu("qemu", (11, 0)), Firmware("/code.fd"), "tcg")


def options(words, name):
    return [value for option, value in itertools.pairwise(words) if option == name]


def test_the_command_line(nodes):
    words = command_line(settings(nodes[2], PROGRAMS), None)
    link, outside = options(words, "-netdev")
    assert link.startswith("dgram,id=link,local.type=unix,local.path=net.2.2/link.sock,")
    assert outside.startswith("user,id=outside,ipv6=off,hostfwd=tcp:127.0.0.1:40020-:22,")
    assert outside.count("hostfwd=tcp:127.0.0.1:") == 6
    # The guest configures the first card, in the order of names, by its medium.
    cards = [value for value in options(words, "-device") if value.startswith("virtio-net")]
    assert cards == [f"virtio-net-pci,netdev=link,mac={nodes[2].mac}", "virtio-net-pci,netdev=outside"]
    assert options(words, "-m") == ["768"]
    # Emulation keeps less translated code than by default: 1 GiB, as much as the machine itself has.
    assert options(words, "-accel") == ["tcg,tb-size=256"]
    programs = dataclasses.replace(PROGRAMS, accel="kvm")
    assert options(command_line(settings(nodes[2], programs), None), "-accel") == ["kvm"]
    assert "exit-with-parent=on" not in words
    drives = options(words, "-drive")
    assert [drive for drive in drives if "file=net.2.2/disk.qcow2" in drive and "snapshot=off" in drive]
    assert [drive for drive in drives if "file=net.2.2/medium.img" in drive and "readonly=on" in drive]


@pytest.fixture
def deployed(state, nodes):
    state.make()
    state.node_folder(nodes[0]).mkdir()
    return state


def test_a_disk_is_an_overlay_that_may_be_larger(deployed, nodes):
    oracle("qemu-img")
    with deployed.disk.open("wb") as file:
        file.truncate(50 << 30)
    machine.create_disk(deployed, nodes[0])
    path = deployed.node_folder(nodes[0]) / machine.DISK
    known = ask("qemu-img", "info", path)
    assert "virtual size: 100 GiB" in known
    assert f"backing file: {deployed.disk}" in known
    assert path.stat().st_mode & 0o777 == 0o600
    assert machine.written_bytes(deployed, nodes[0]) < 1 << 20
    assert machine.written_bytes(deployed, nodes[1]) == 0


def test_qemu_that_does_not_start(deployed, nodes, tmp_path):
    program = tmp_path / "qemu"
    program.write_text("#!/bin/sh\necho qemu: wrong option >&2\nexit 1\n")
    program.chmod(0o755)
    programs = Programs(Qemu(str(program), (11, 0)), Firmware("/code.fd"), "tcg")
    with pytest.raises(UserError, match=r"net\.0\.0: QEMU does not start: qemu: wrong option"):
        machine.start(deployed, nodes[0], programs)
    assert not machine.is_running(deployed, nodes[0])


def test_a_machine_that_does_not_run(deployed, nodes):
    assert machine.pid(deployed, nodes[0]) is None
    with pytest.raises(UserError, match=r"net\.0\.0: the machine does not run"), machine.console(deployed, nodes[0]):
        pass
    machine.power_down(deployed, nodes[0], 60)


def test_the_console_is_reached_by_a_long_path(state, nodes, monkeypatch):
    """The path of a socket has at most 107 bytes."""
    state.folder /= "long" * 30
    state.make()
    state.node_folder(nodes[0]).mkdir()
    monkeypatch.chdir(state.folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{nodes[0].name}/console.sock")
        server.listen()
        thread = threading.Thread(target=lambda: server.accept()[0].sendall(b"login: "))
        thread.start()
        with machine.console(state, nodes[0]) as connection:
            assert connection.recv(100) == b"login: "
            with pytest.raises(UserError, match=r"net\.0\.0: the console is in use"), machine.console(state, nodes[0]):
                pass
        thread.join()


def test_memory_of_a_process():
    assert machine.memory_kib(process.identify(os.getpid()).pid) > 1000
    assert machine.memory_kib(1 << 30) == 0
