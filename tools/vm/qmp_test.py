import json
import socket
import threading

import pytest

from tools.vm.qmp import Qmp, QmpError

GREETING = {"QMP": {"version": "", "capabilities": ""}}


class Server:
    """Simulates QEMU: sends the messages of a list for each command."""

    def __init__(self, *replies, greeting=GREETING):
        self.commands = []
        ours, self.end = socket.socketpair()
        self._connection = ours
        self._replies = list(replies)
        self._greeting = greeting
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        with self._connection, self._connection.makefile("rwb") as file:
            self._send(file, self._greeting)
            for line in file:
                self.commands.append(json.loads(line))
                if self.commands[-1]["execute"] == "qmp_capabilities":
                    self._send(file, {"return": {}})
                elif self._replies:
                    for reply in self._replies.pop(0):
                        self._send(file, reply)
                else:
                    return

    def _send(self, file, value):
        file.write(json.dumps(value).encode() + b"\r\n")
        file.flush()

    def join(self):
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture
def connect():
    made = []

    def connect(*replies, timeout=30, **options):
        server = Server(*replies, **options)
        qmp = Qmp(server.end, timeout)
        made.append((qmp, server))
        return qmp, server

    yield connect
    for qmp, server in made:
        qmp.close()
        server.join()


def test_commands_have_results_and_arguments(connect):
    qmp, server = connect([{"return": {"status": "running"}}])
    assert qmp.execute("human-monitor-command", command_line="info") == {"status": "running"}
    assert server.commands == [
        {"execute": "qmp_capabilities"},
        {"execute": "human-monitor-command", "arguments": {"command-line": "info"}},
    ]


def test_an_error_is_one(connect):
    qmp, _ = connect([{"error": {"class": "CommandNotFound", "desc": "The command x has not been found"}}])
    with pytest.raises(QmpError, match="QEMU: x: The command x has not been found"):
        qmp.execute("x")


def test_events_are_kept_until_they_are_asked_for(connect):
    qmp, _ = connect(
        [{"event": "RESUME"}, {"event": "RESET", "data": {"guest": True}}, {"return": {}}],
        [{"return": {}}, {"event": "SHUTDOWN", "data": {"reason": "guest-shutdown"}}],
    )
    qmp.execute("cont")
    assert qmp.wait_event("RESET", 30) == {"guest": True}
    qmp.execute("system_powerdown")
    assert qmp.wait_event("SHUTDOWN", 30) == {"reason": "guest-shutdown"}


def test_an_event_that_does_not_come(connect):
    qmp, _ = connect()
    with pytest.raises(QmpError, match="did not send the event RESET in time"):
        qmp.wait_event("RESET", 0.01)


def test_the_end_of_qemu_is_an_error(connect):
    qmp, server = connect()
    with pytest.raises(QmpError, match="ended before it sent an answer to quit"):
        qmp.execute("quit")
    server.join()
    with pytest.raises(QmpError, match=r"it has ended|ended before"):
        qmp.execute("quit")


def test_something_else_than_qemu_is_refused():
    server = Server(greeting={"hello": 1})
    with pytest.raises(QmpError, match="does not speak the machine protocol"):
        Qmp(server.end)
    server.end.close()
    server.join()
