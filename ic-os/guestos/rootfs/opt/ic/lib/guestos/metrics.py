"""Writes metrics for node_exporter, which serves what is in the files of one directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

FOLDER = "/run/node_exporter/collector_textfile"
"""Directory with the metrics that node_exporter serves."""


def write(folder: str, name: str, lines: Sequence[str]) -> None:
    """Replaces a file of metrics; one that cannot be written is left as it is, without an error.

    Args:
        folder: directory of the files.
        name: of the file, which ends in .prom.
        lines: text format of Prometheus.
    """
    path = os.path.join(folder, name)
    with contextlib.suppress(OSError):
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            # Whatever the caller's umask is: node_exporter is another user.
            os.fchmod(file.fileno(), 0o644)
            file.write("\n".join(lines) + "\n")
        os.replace(f"{path}.new", path)
