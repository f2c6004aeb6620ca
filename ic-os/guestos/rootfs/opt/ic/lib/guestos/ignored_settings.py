"""Reports settings of the config store that are invalid and were ignored: to the journal, and as a metric."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

FOLDER = "/run/node_exporter/collector_textfile"
"""Directory with the metrics that node_exporter serves."""


def report(program: str, reader: str, messages: Sequence[str], folder: str = FOLDER) -> None:
    """Logs a warning for each setting, and writes their number as `guestos_ignored_settings{reader="…"}`.

    A metric that cannot be written is not an error: the warnings are in the journal.

    Args:
        program: name of this program, for the log.
        reader: label of the metric: what the settings are for.
        messages: what is wrong with each setting, with its file and line.
        folder: directory of the metric's file.
    """
    for message in messages:
        print(f"<4>{program}: warning: {message}; this is ignored", file=sys.stderr)
    path = os.path.join(folder, f"guestos_ignored_settings_{reader}.prom")
    lines = (
        "# HELP guestos_ignored_settings Settings in the config store that are invalid and ignored.",
        "# TYPE guestos_ignored_settings gauge",
        f'guestos_ignored_settings{{reader="{reader}"}} {len(messages)}',
    )
    with contextlib.suppress(OSError):
        with open(f"{path}.new", "w", encoding="ascii") as file:
            # Whatever the caller's umask is: node_exporter is another user.
            os.fchmod(file.fileno(), 0o644)
            file.write("\n".join(lines) + "\n")
        os.replace(f"{path}.new", path)
