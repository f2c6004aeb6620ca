"""Records measurements, for information; no test depends on them."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def write_figures(artifacts: Path, **values: object) -> None:
    """Writes figures to `figures.json` in a test's artifacts, and to its standard error."""
    text = json.dumps(values, indent=2)
    (artifacts / "figures.json").write_text(text + "\n")
    print(text, file=sys.stderr)
