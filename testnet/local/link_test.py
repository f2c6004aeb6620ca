import os
import socket

import pytest

from testnet.local import link, process

SECONDS = 30
MACS = {name: bytes([0x6A, 1, 0, 0, 0, number]) for number, name in enumerate("abc")}
EVERYBODY = b"\xff" * 6
NEIGHBOURS = b"\x33\x33\x00\x00\x00\x01"


class Card:
    """A machine's end of the link, as QEMU has it: a datagram socket in the machine's folder."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(link.machine_socket(name))
        self.socket.settimeout(SECONDS)

    def send(self, destination, text, source=None):
        frame = destination + (source or MACS[self.name]) + b"\x88\xb5" + text
        self.socket.sendto(frame, link.SOCKET)

    def receive(self):
        return self.socket.recv(1 << 16)[14:]

    def close(self):
        self.socket.close()
        os.unlink(link.machine_socket(self.name))


@pytest.fixture
def cards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in MACS:
        (tmp_path / name).mkdir()
    ports = {mac: link.machine_socket(name) for name, mac in MACS.items()}
    process.start(tmp_path / "link.pid", tmp_path / "link.log", tmp_path, lambda ready: link.serve(ports, ready))
    cards = {name: Card(name) for name in MACS}
    yield cards
    for card in cards.values():
        card.socket.close()
    assert process.end(tmp_path / "link.pid", SECONDS), (tmp_path / "link.log").read_text()


def test_a_frame_reaches_its_machine_alone(cards):
    cards["a"].send(MACS["b"], b"for b")
    assert cards["b"].receive() == b"for b"
    cards["a"].send(MACS["c"], b"for c")
    assert cards["c"].receive() == b"for c"


@pytest.mark.parametrize("group", [EVERYBODY, NEIGHBOURS])
def test_a_frame_for_a_group_reaches_all_others(cards, group):
    cards["a"].send(group, b"first")
    cards["b"].send(MACS["a"], b"second")
    assert [cards[name].receive() for name in "bca"] == [b"first", b"first", b"second"]


def test_frames_that_are_not_the_machines_own_are_dropped(cards):
    cards["a"].send(MACS["c"], b"forged", source=MACS["b"])
    cards["a"].send(EVERYBODY, b"forged", source=MACS["b"])
    cards["a"].send(b"\x02" + bytes(5), b"for nobody")
    cards["a"].send(MACS["a"], b"for itself")
    cards["a"].socket.sendto(b"short", link.SOCKET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(MACS["c"] + MACS["a"] + b"forged", link.SOCKET)
    for name in "bc":
        cards["a"].send(MACS[name], b"genuine")
        assert cards[name].receive() == b"genuine"


def test_a_machine_may_go_and_come_back(cards):
    cards["b"].close()
    cards["a"].send(MACS["b"], b"lost")
    cards["a"].send(EVERYBODY, b"for c")
    assert cards["c"].receive() == b"for c"
    cards["b"] = Card("b")
    cards["a"].send(MACS["b"], b"again")
    assert cards["b"].receive() == b"again"


def test_a_machine_that_does_not_read_stops_nobody(cards):
    for _ in range(3000):
        cards["a"].send(MACS["b"], bytes(1000))
    cards["a"].send(MACS["c"], b"for c")
    assert cards["c"].receive() == b"for c"


def test_nobody_else_can_use_the_socket(cards, tmp_path):
    assert os.stat(tmp_path / link.SOCKET).st_mode & 0o077 == 0


def test_the_card_of_a_machine():
    assert link.card("6a:01:00:00:00:01", "net.0.0") == [
        "-netdev",
        "dgram,id=link,local.type=unix,local.path=net.0.0/link.sock,remote.type=unix,remote.path=link.sock",
        "-device",
        "virtio-net-pci,netdev=link,mac=6a:01:00:00:00:01",
    ]
