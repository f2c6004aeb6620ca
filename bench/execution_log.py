"""Counts the bytes that the actions of a build write, by Bazel's execution log; this doesn't depend on the machine.

A remote cache takes these bytes, unless it has them already: https://bazel.build/remote/cache-remote. The log is
that of `--execution_log_json_file`: https://bazel.build/reference/command-line-reference#flag--execution_log_json_file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def written(log: Path) -> Counter[tuple[str, str]]:
    """Returns the sizes in bytes of outputs, by the mnemonics of their actions and their paths, without cache hits."""
    found: Counter[tuple[str, str]] = Counter()
    for spawn in _spawns(log):
        if not spawn.get("cacheHit", False):
            for output in spawn.get("actualOutputs", []):
                # JSON has 64-bit numbers of protocol buffers as strings, and leaves out zeros.
                found[spawn["mnemonic"], output["path"]] += int(output.get("digest", {}).get("sizeBytes", 0))
    return found


def _spawns(log: Path) -> Iterator[dict[str, Any]]:
    """Yields the objects of the log, which follow each other without a separator but white space."""
    text, decoder = log.read_text().strip(), json.JSONDecoder()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].lstrip()
