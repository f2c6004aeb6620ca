"""The library knows no product: no file of it names the GuestOS, its folder or its deployments."""

import re
from pathlib import Path

import pytest

from dev.lint.listing import listed_files

LIBRARY = ("defs/", "tools/")
PRODUCT = re.compile(r"ic-os|guestos|testnet|dfinity", re.IGNORECASE)


def library_files() -> dict[str, Path]:
    """Returns the files of the library by path."""
    return {path: file for path, file in listed_files().items() if path.startswith(LIBRARY)}


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
