"""Tests that threads of actions keep to what Bazel reserves for them."""

import os
import re
from pathlib import Path

from tools.core.parallel import MOST_THREADS, default_threads
from tools.debian import expansion


def test_threads_are_those_that_are_reserved():
    reserved = re.findall(r'"cpu": (\d+)', Path("defs/private/resources.bzl").read_text())
    assert [int(each) for each in reserved] == [MOST_THREADS, expansion.THREADS]


def test_default_keeps_to_the_limit(monkeypatch):
    for processors in (1, 2, 3, 64):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _process, count=processors: set(range(count)))
        assert default_threads() == min(processors, MOST_THREADS)
