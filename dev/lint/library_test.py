"""The library knows no product: no file of it names the GuestOS, its folder or its deployments."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
LIBRARY = ("defs/", "tools/")
PRODUCT = re.compile(r"ic-os|guestos|testnet|dfinity", re.IGNORECASE)


def library_files() -> dict[str, Path]:
    """Returns the files of the library by path: by Bazel's listing of the checkout, else as git lists them."""
    index = os.environ.get("LINT_INDEX")
    if index:
        paths = json.loads(Path(index).read_text())["paths"]
        found = {path: Path(index).parent / f"{path}.file" for path in paths}
    else:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
        found = {path: CHECKOUT / path for path in done.stdout.split("\0")[:-1]}
    return {path: file for path, file in found.items() if path.startswith(LIBRARY)}


def named(text: str) -> list[str]:
    """Returns what names the product in a text."""
    return PRODUCT.findall(text)


def test_the_library_names_no_product():
    files = library_files()
    assert {"defs/defs.bzl", "tools/commands/ext4_image.py"} <= files.keys()
    assert {path: words for path, file in files.items() if (words := named(file.read_text(errors="replace")))} == {}
    assert not [path for path in files if named(path)]


@pytest.mark.parametrize("text", ['load("//ic-os/guestos:payload.bzl")', "such as GuestOS", "//testnet/tools"])
def test_names_are_found(text):
    assert named(text)
