"""Reports settings of the config store that are invalid and were ignored: to the journal, and as a metric."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from guestos import metrics


def report(program: str, reader: str, messages: Sequence[str], folder: str = metrics.FOLDER) -> None:
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
    lines = (
        "# HELP guestos_ignored_settings Settings in the config store that are invalid and ignored.",
        "# TYPE guestos_ignored_settings gauge",
        f'guestos_ignored_settings{{reader="{reader}"}} {len(messages)}',
    )
    metrics.write(folder, f"guestos_ignored_settings_{reader}.prom", lines)
