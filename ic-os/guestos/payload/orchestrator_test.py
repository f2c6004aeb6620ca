import os
import stat
import sys
import threading

import orchestrator
import pytest
from orchestrator import Orchestrator
from replica import Server

LIVES = [sys.executable, "-c", "import signal; signal.pause()"]
"""A replica that runs until a signal ends it."""


class Run:
    """Runs an orchestrator whose replica gives the responses of a list, and stops it at the end of the list."""

    def __init__(self, answers, command=LIVES, confirms=(), **options):
        self.events = []
        self._answers = iter(answers)
        self._confirms = iter(confirms)
        self.orchestrator = Orchestrator(
            command, self._healthy, self._confirm, period=0.001, steady_period=0.001, longest_delay=0.004, **options
        )
        thread = threading.Thread(target=self.orchestrator.run)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()

    def _healthy(self):
        answer = next(self._answers, None)
        if answer is None:
            self.orchestrator.stop()
            return False
        self.events.append(answer)
        return answer

    def _confirm(self):
        self.events.append("confirm")
        return next(self._confirms, True)


def test_confirms_once_after_enough_healthy_answers():
    assert Run([True] * 6).events == [True] * 3 + ["confirm"] + [True] * 3


def test_an_unhealthy_replica_is_never_confirmed():
    assert "confirm" not in Run([False] * 20).events


def test_only_healthy_answers_in_a_row_count():
    assert "confirm" not in Run([True, True, False] * 10).events


def test_confirms_again_after_an_unhealthy_answer():
    events = Run([True] * 3 + [False] + [True] * 4).events
    assert events == [True] * 3 + ["confirm", False] + [True] * 3 + ["confirm", True]


def test_a_failed_confirmation_is_retried():
    events = Run([True] * 6, confirms=[False, False]).events
    assert events == [True] * 3 + ["confirm", True, "confirm", True, "confirm", True]


def test_a_replica_that_exits_is_restarted(tmp_path):
    log = tmp_path / "log"
    script = f"open({os.fspath(log)!r}, 'a').write('started\\n')"

    class Counted(Orchestrator):
        starts = 0

        def _watch(self, replica):
            replica.wait()
            self.starts += 1
            if self.starts == 4:
                self.stop()
            return super()._watch(replica)

    counted = Counted([sys.executable, "-c", script], lambda: False, lambda: True, period=0.001, longest_delay=0.004)
    counted.run()
    assert log.read_text() == "started\n" * 4


def test_a_replica_that_stays_unhealthy_is_restarted(capfd):
    Run([False] * 10, patience=4)
    assert capfd.readouterr().out.count("the replica was unhealthy 4 times in a row") == 2


def test_a_replica_that_cannot_be_started_is_reported(capfd):
    run = Orchestrator(["/nothing"], lambda: False, lambda: True, period=0.001, longest_delay=0.01)
    threading.Timer(0.1, run.stop).start()
    run.run()
    assert "/nothing cannot be started" in capfd.readouterr().out


def test_the_replica_ends_with_its_orchestrator(tmp_path):
    pid = tmp_path / "pid"
    script = f"import os, signal; open({os.fspath(pid)!r}, 'w').write(str(os.getpid())); signal.pause()"
    Run(iter(lambda: None if pid.exists() and pid.read_text() else True, None), [sys.executable, "-c", script])
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_health_is_the_status_that_the_replica_reports():
    with Server(0, "1") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert orchestrator.is_healthy(server.server_port)
        server.status = lambda: {"status": "starting"}
        assert not orchestrator.is_healthy(server.server_port)
        server.status = dict
        assert not orchestrator.is_healthy(server.server_port)
        server.shutdown()
        thread.join()
    assert not orchestrator.is_healthy(server.server_port)


@pytest.mark.parametrize(("status", "done"), [(0, True), (1, False)])
def test_the_exit_status_of_manageboot_decides_about_the_confirmation(tmp_path, status, done):
    script = tmp_path / "manageboot.sh"
    script.write_text(f'#!/bin/sh\n[ "$*" = confirm ] && exit {status}\nexit 9\n')
    script.chmod(stat.S_IRWXU)
    assert orchestrator.confirm_boot(os.fspath(script)) is done


def test_without_manageboot_nothing_is_confirmed(tmp_path):
    assert not orchestrator.confirm_boot(os.fspath(tmp_path / "nothing"))
