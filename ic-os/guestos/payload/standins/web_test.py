import socket

import pytest

from standins.problems import StandInError
from standins.web import Server, ask, fetch, listen


@pytest.fixture
def unix(tmp_path):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    listening.listen()
    return listening, tmp_path / "socket"


def answer(path):
    if path == "/problem":
        raise StandInError("something is wrong")
    return "text\n" if path == "/text" else None


def test_a_unix_socket(unix):
    listening, path = unix
    Server(listening, answer).start()
    assert ask(path, "/text") == "text\n"
    with pytest.raises(StandInError, match="socket: Not Found"):
        ask(path, "/other")
    with pytest.raises(StandInError, match="socket: something is wrong"):
        ask(path, "/problem")


def test_a_unix_socket_needs_no_other_family(unix, monkeypatch):
    families = []
    original = socket.socket.__init__

    def recording(self, family=-1, *arguments, **named):
        families.append(family)
        original(self, family, *arguments, **named)

    monkeypatch.setattr(socket.socket, "__init__", recording)
    server = Server(unix[0], answer)
    server.server_close()
    assert set(families) == {socket.AF_UNIX}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address(host):
    listening = listen((host, 0))
    port = listening.getsockname()[1]
    Server(listening, answer).start()
    assert fetch((host, port), "/text") == "text\n"
    with pytest.raises(StandInError, match=f"port {port}: cannot listen"):
        listen((host, port))


def test_the_unspecified_address_is_for_both_families():
    listening = listen(("::", 0))
    port = listening.getsockname()[1]
    Server(listening, answer).start()
    assert fetch(("127.0.0.1", port), "/text") == fetch(("::1", port), "/text") == "text\n"


def test_nobody_answers(tmp_path):
    with pytest.raises(StandInError, match="does not answer"):
        ask(tmp_path / "nothing", "/text")
