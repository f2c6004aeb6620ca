"""Checks references to the repository in documents (Markdown, AsciiDoc): a lint program.

- The target of a relative link exists.
- A path or label of the repository, in code or as code, exists. Paths may be relative to the document's folder or to
  any folder above it. What starts with no folder of the checkout, or has a placeholder in capitals such as NAME in it,
  is not taken for a path.
- A block of code under a line such as "From [examples/a/BUILD.bazel](…):" is an excerpt of that file: each
  of its paragraphs is in the file as it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

_LINK = re.compile(r"\]\(([^()\s]+)\)|(?:link|image|xref):{1,2}([^\[\]\s]+)\[")
_CODE = re.compile(r"`+([^`]+)`+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
_PATH = re.compile(r"(?:\./)?(?:[\w.@+-]+/)+[\w.@+-]*")
_LABEL = re.compile(r"(?<![\w:/@])(?:@rules_icos)?//([\w.-]+(?:/[\w.-]+)*)")
_PLACEHOLDER = re.compile(r"\.\.\.|NAME|TARGET|PACKAGE|FOLDER|FILE|RULE|VERSION")
_SOURCE = re.compile(r"From (?:\[|`)*([\w.@+/-]+)[^:]*:$")
_FENCE = "```"
_INDENTED = "    "

GENERATED = ("artifacts/",)
"""Folders whose files no checkout has: they are made by what the documents describe."""


class Checkout:
    """The files of the checkout, as far as documents refer to them.

    Attributes:
        root: its folder.
        top: the names in it, but for the links that Bazel makes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = {path.name for path in root.iterdir() if not path.name.startswith("bazel-")}

    def has(self, path: str, document: PurePosixPath) -> bool:
        """Returns whether a path exists, relative to the document's folder or to one above it."""
        return any((self.root / folder / path).exists() for folder in document.parents)

    def is_path(self, word: str) -> bool:
        """Returns whether a word is meant as a path of the repository."""
        plain = word.removeprefix("./")
        if not _PATH.fullmatch(word) or _PLACEHOLDER.search(word) or plain.startswith(GENERATED):
            return False
        return plain.partition("/")[0] in self.top


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields the first line of each fenced block of code, and the line after its last one."""
    begin = None
    for number, line in enumerate(lines):
        if not line.startswith(_FENCE):
            continue
        if begin is None:
            begin = number + 1
        else:
            yield begin, number
            begin = None


def _broken_links(line: str, document: PurePosixPath, checkout: Checkout) -> Iterator[str]:
    for found in _LINK.finditer(_CODE.sub("", line)):
        target = found[1] or found[2]
        path = target.partition("#")[0]
        if path and not _SCHEME.match(target) and not (checkout.root / document.parent / path).exists():
            yield f"link to {target}: does not exist"


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
    """Yields a line for everything that a document says and the checkout does not have.

    Args:
        document: its path, relative to the checkout.
        text: all of it.
        checkout: the files.
    """
    lines = text.splitlines()
    blocks = list(_blocks(lines))
    found: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        code = line.startswith(_INDENTED) or any(begin <= number < end for begin, end in blocks)
        found += [(number, fault) for fault in _missing_paths(line, code, document, checkout)]
        if not code:
            found += [(number, fault) for fault in _broken_links(line, document, checkout)]
    for begin, end in blocks:
        found += _altered_excerpts(lines, begin, end, checkout)
    yield from (f"{document}:{number + 1}: {fault}" for number, fault in sorted(found))


def main(paths: Sequence[str]) -> int:
    """Prints what is wrong in documents, whose paths are relative to the checkout, the current folder.

    Returns:
        The exit status, 1 if something is wrong.
    """
    checkout = Checkout(Path.cwd())
    texts = ((PurePosixPath(path), Path(path).read_text(encoding="utf-8")) for path in paths)
    found = [line for document, text in texts for line in faults(document, text, checkout)]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
