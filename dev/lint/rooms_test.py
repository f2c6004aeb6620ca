"""The table of packages in tools/README.md is that of the layers."""

import re
from pathlib import Path

from dev.lint.imports import LAYERS, layer_of

README = Path(__file__).parents[2] / "tools/README.md"


def test_table():
    listed = [f"tools.{name}" for name in re.findall(r"^\| \[(\w+)\]", README.read_text(), re.MULTILINE)]
    layers = [layer_of(name)[1] for name in listed if name != "tools.testing"]
    assert layers == sorted(layers)
    known = {name for layer in LAYERS for name in layer if re.fullmatch(r"tools\.\w+", name)}
    assert set(listed) == known | {"tools.testing"}
