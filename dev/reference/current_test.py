"""Checks that the checked-in pages of a reference are current, and that all public symbols have docstrings."""

import os
import re
from pathlib import Path

import pytest

from dev.reference.markdown import Page
from dev.reference.textproto import parse

BUILT = Path(os.environ["BUILT"])
CHECKED_IN = Path(os.environ["CHECKED_IN"])
COMMAND = os.environ["COMMAND"]
MODULES = os.environ["MODULES"].split()
TOPICS = os.environ["TOPICS"].split()
WHOLE = os.environ["WHOLE"]

PARTS = ("attribute", "parameter", "field_info", "tag_class")


def page_of(path):
    return Page(path, parse(Path(path).read_text(), path))


def undocumented(info, name):
    """Returns the names without docstring: the symbol, its attributes, parameters, fields and tag classes."""
    found = [] if info.text("doc_string").strip() else [name]
    for part in PARTS:
        for inner in info.messages(part):
            # Bazel documents the name of every target itself.
            if inner.text("type") != "NAME" or inner.text("doc_string"):
                found += undocumented(inner, f"{name}.{inner.text('name') or inner.text('tag_name')}")
    return found


def test_all_pages_are_there():
    """Pages are neither missing nor left over."""
    built = sorted(page.name for page in BUILT.iterdir())
    assert sorted(page.name for page in CHECKED_IN.glob("*.md")) == built, f"update the pages: {COMMAND}"


@pytest.mark.parametrize("name", sorted(page.name for page in BUILT.iterdir()))
def test_page_is_current(name):
    assert (CHECKED_IN / name).read_text() == (BUILT / name).read_text(), f"{name}: update the pages: {COMMAND}"


@pytest.mark.parametrize("name", sorted({page.name for page in BUILT.iterdir()} - {"README.md"}))
def test_page_has_an_example(name):
    """One that is built in CI: `//dev/lint:documents` checks that it stands in the file that it is said to be from."""
    text = (BUILT / name).read_text()
    assert re.search(r"^An example\. From \[(examples|tests)/.*:\n\n```starlark\n", text, re.MULTILINE)


@pytest.mark.parametrize("path", MODULES)
def test_everything_has_a_docstring(path):
    page = page_of(path)
    found = [] if page.module.text("module_docstring") else ["the file itself"]
    for name, _, info in page.symbols():
        found += undocumented(info, name)
    assert not found, f"{page.label()}: without a docstring: {', '.join(found)}"


@pytest.mark.parametrize("page", sorted(BUILT.iterdir()), ids=lambda page: page.stem)
def test_docstrings_are_ascii(page):
    """Bazel 7 reads .bzl files as Latin-1 and writes docstrings as UTF-8, here and for the registry."""
    found = [line for line in page.read_text().splitlines() if not line.isascii()]
    assert not found, f"write it in ASCII, such as ... for an ellipsis: {found}"


def test_whole_exports_all():
    """The file that exports all symbols exports those of the pages."""
    whole = {name for name, _, _ in page_of(WHOLE).symbols()}
    assert whole == {name for path in TOPICS for name, _, _ in page_of(path).symbols()}


def test_every_public_file_has_a_page():
    described = {page_of(path).module.text("file") for path in (*MODULES, WHOLE)}
    public = {"//{}:{}".format(*path.rsplit("/", 1)) for path in os.environ["PUBLIC"].split()}
    assert public <= described, "add it to //" + str(CHECKED_IN)
