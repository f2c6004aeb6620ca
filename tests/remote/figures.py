"""What was measured, for a reader: it depends on the machine, so no test goes by it."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def write_figures(artifacts: Path, **values: object) -> None:
    """Writes figures to `figures.json` among a test's artifacts, and to what the test says."""
    text = json.dumps(values, indent=2)
    (artifacts / "figures.json").write_text(text + "\n")
    print(text, file=sys.stderr)
