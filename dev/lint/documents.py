"""Checks references to the repository in documents (Markdown, AsciiDoc): a lint program.

- The target of a relative link exists, and if it is a document, so does the heading that the link leads to.
- A path or label of the repository in code exists. Paths may be relative to the document's directory or to any one
  above it. Words that don't start with a directory of the checkout, or that have a placeholder such as NAME, are not
  paths.
- A name in code that stands before a link to a Python or Starlark file, or "in" such a link, is in that file.
- A block of code under a line such as "From [examples/a/BUILD.bazel](…):" is an excerpt of that file: all its
  paragraphs are in the file unchanged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from dev.lint.anchors import anchors

_LINK = re.compile(r"\]\(([^()\s]+)\)|(?:link|image|xref):{1,2}([^\[\]\s]+)\[")
_CODE = re.compile(r"`+([^`]+)`+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
_PATH = re.compile(r"(?:\./)?(?:[\w.@+-]+/)+[\w.@+-]*")
_LABEL = re.compile(r"(?<![\w:/@])(?:@rules_icos)?//([\w.-]+(?:/[\w.-]+)*)")
_PLACEHOLDER = re.compile(r"\.\.\.|NAME|TARGET|PACKAGE|FOLDER|FILE|RULE|VERSION")
_SOURCE = re.compile(r"From (?:\[|`)*([\w.@+/-]+).*:$")
_NAME = re.compile(r"(?:\[`(\w+)`\]|`(\w+)` in \[[^\]]*\])\(([^()\s#]+\.(?:py|bzl))\)")
_DOCUMENTS = (".md", ".adoc")
_FENCE = "```"
_INDENTED = "    "

GENERATED = ("artifacts/",)
"""Directories of files that are not checked in, but created by the documented commands."""


class Checkout:
    """The files of the checkout.

    Attributes:
        root: its root directory.
        top: the names in it, without Bazel's symbolic links.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = {path.name for path in root.iterdir() if not path.name.startswith("bazel-")}

    def has(self, path: str, document: PurePosixPath) -> bool:
        """Returns whether a path exists, relative to the document's directory or to one above it."""
        return any((self.root / folder / path).exists() for folder in document.parents)

    def is_path(self, word: str) -> bool:
        """Returns whether a word is a path of the repository."""
        plain = word.removeprefix("./")
        if not _PATH.fullmatch(word) or _PLACEHOLDER.search(word) or plain.startswith(GENERATED):
            return False
        return plain.partition("/")[0] in self.top


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields (index of the first line, index after the last line) for each fenced block of code."""
    begin = None
    for number, line in enumerate(lines):
        if not line.startswith(_FENCE):
            continue
        if begin is None:
            begin = number + 1
        else:
            yield begin, number
            begin = None


def _broken_links(line: str, own: str, document: PurePosixPath, checkout: Checkout) -> Iterator[str]:
    for found in _LINK.finditer(_CODE.sub("", line)):
        target = found[1] or found[2]
        if _SCHEME.match(target):
            continue
        name, _, anchor = target.partition("#")
        path = checkout.root / document.parent / name if name else checkout.root / document
        if name and not path.exists():
            yield f"link to {target}: does not exist"
        elif anchor and path.suffix in _DOCUMENTS:
            text = path.read_text(encoding="utf-8") if name else own
            if anchor not in anchors(text, adoc=path.suffix == ".adoc"):
                yield f"link to {target}: {path.name} has no heading with the anchor {anchor}"


def _missing_names(line: str, document: PurePosixPath, checkout: Checkout) -> Iterator[str]:
    for linked, named, target in _NAME.findall(line):
        path = checkout.root / document.parent / target
        name = linked or named
        if path.is_file() and not re.search(rf"\b{name}\b", path.read_text(encoding="utf-8")):
            yield f"{name}: is not in {target}"


def _missing_paths(line: str, code: bool, document: PurePosixPath, checkout: Checkout) -> Iterator[str]:
    for word in line.split() if code else _CODE.findall(line):
        path = word.strip("'\"")
        if checkout.is_path(path) and not checkout.has(path, document):
            yield f"{path}: does not exist"
    for package in _LABEL.findall(line):
        folder = package.removesuffix("/...").rstrip(".").rstrip("/")
        if folder.partition("/")[0] in checkout.top and not checkout.has(folder, document):
            yield f"package //{folder}: does not exist"


def _altered_excerpts(lines: Sequence[str], begin: int, end: int, checkout: Checkout) -> Iterator[tuple[int, str]]:
    before = next((line for line in reversed(lines[: begin - 1]) if line), "")
    source = _SOURCE.search(before)
    if source is None:
        return
    path = checkout.root / source[1]
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    paragraph = begin
    for number in range(begin, end + 1):
        if number == end or not lines[number]:
            excerpt = "\n".join(lines[paragraph:number])
            if f"\n{excerpt}\n" not in f"\n{text}":
                yield paragraph, f"differs from {source[1]}: this paragraph is not in it"
            paragraph = number + 1


def faults(document: PurePosixPath, text: str, checkout: Checkout) -> Iterator[str]:
    """Yields a message for each reference to something that the checkout does not have.

    Args:
        document: path of the document, relative to the checkout.
        text: content of the document.
        checkout: the files.
    """
    lines = text.splitlines()
    blocks = list(_blocks(lines))
    found: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        code = line.startswith(_INDENTED) or any(begin <= number < end for begin, end in blocks)
        found += [(number, fault) for fault in _missing_paths(line, code, document, checkout)]
        if not code:
            found += [(number, fault) for fault in _broken_links(line, text, document, checkout)]
            found += [(number, fault) for fault in _missing_names(line, document, checkout)]
    for begin, end in blocks:
        found += _altered_excerpts(lines, begin, end, checkout)
    yield from (f"{document}:{number + 1}: {fault}" for number, fault in sorted(found))


def main(paths: Sequence[str]) -> int:
    """Prints the faults in documents; paths are relative to the checkout, which is the working directory.

    Returns:
        The exit status: 1 if there are any, else 0.
    """
    checkout = Checkout(Path.cwd())
    texts = ((PurePosixPath(path), Path(path).read_text(encoding="utf-8")) for path in paths)
    found = [line for document, text in texts for line in faults(document, text, checkout)]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
