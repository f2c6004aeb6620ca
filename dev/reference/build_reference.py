"""Generates the pages of the reference from ModuleInfo messages, which Bazel extracts from .bzl files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dev.reference.markdown import Page, Reference, symbol_name
from dev.reference.textproto import Message, parse
from tools.core.cli import argument, run
from tools.core.errors import UserError

_INDEX = """\
The public rules, macros, providers and module extensions, from the docstrings of the files that define them; made by
`{command}`. All that can be loaded from a file of `//defs` can also be loaded from
`@rules_icos//defs:defs.bzl`.
"""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    module: tuple[str, ...] = argument(
        "NAME=FILE: the name of a page, and the file with the ModuleInfo of its .bzl file, in text format"
    )
    rule: tuple[str, ...] = argument(
        "NAME=FILE: the name of a macro, and the file with the ModuleInfo, in text format, of the rule with the same "
        "name that it calls; its attributes are listed with the macro",
        default=(),
    )
    output: str = argument("the directory for the pages")
    command: str = argument("the command that updates the pages, for the index page")


def _pair(argument: str) -> tuple[str, str]:
    name, _, path = argument.partition("=")
    return name, path


def _read(path: str) -> Message:
    return parse(Path(path).read_text(encoding="utf-8"), path)


def _rule(name: str, path: str) -> Message:
    for rule in _read(path).messages("rule_info"):
        if symbol_name(rule) == name:
            return rule
    raise UserError(f"{path}: has no rule {name}, which the macro with this name should call")


def main(arguments: Arguments) -> None:
    """Writes the pages and an index page.

    Raises:
        UserError: a module cannot be read, or a rule does not exist.
    """
    pages = [Page(name, _read(path)) for name, path in map(_pair, arguments.module)]
    reference = Reference(pages, {name: _rule(name, path) for name, path in map(_pair, arguments.rule)})
    texts = {page.name: reference.page(page) for page in pages}
    texts["README"] = reference.index(_INDEX.format(command=arguments.command))
    folder = Path(arguments.output)
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
