import pytest

from testnet.local import waiting
from testnet.local.waiting import wait_for


class Clock:
    """A clock that goes on only in questions and pauses."""

    def __init__(self, question):
        self.now, self.question, self.pauses = 0.0, question, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def ask(self):
        self.now += self.question
        return False


@pytest.mark.parametrize(
    ("question", "pauses"),
    [
        (0, [3, 3, 3, 1]),
        (1, [3, 3, 1]),
        (2, [4, 2]),
        (4, [6]),
    ],
)
def test_questions_take_a_third_of_the_time(monkeypatch, question, pauses):
    clock = Clock(question)
    monkeypatch.setattr(waiting, "time", clock)
    assert not wait_for(clock.ask, timeout=10, pause=3)
    assert clock.pauses == pauses


def test_a_slow_question_is_repeated_after_a_bounded_pause(monkeypatch):
    clock = Clock(100)
    monkeypatch.setattr(waiting, "time", clock)
    assert not wait_for(clock.ask, timeout=300, pause=3)
    assert clock.pauses == [30, 30]


def test_an_answer_ends_it(monkeypatch):
    clock = Clock(0)
    monkeypatch.setattr(waiting, "time", clock)
    assert wait_for(lambda: clock.now >= 6, timeout=10, pause=3)
    assert clock.pauses == [3, 3]


def test_it_is_asked_after_the_deadline_once_more(monkeypatch):
    clock = Clock(0)
    monkeypatch.setattr(waiting, "time", clock)
    assert wait_for(lambda: clock.now >= 1, timeout=1, pause=3)
    assert not wait_for(lambda: False, timeout=0)
