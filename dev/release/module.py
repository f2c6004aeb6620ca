"""Reads name, version and changes of the version to release."""

from __future__ import annotations

import ast
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from tools.core.errors import UserError

_SECTION = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """Name and version of a Bazel module."""

    name: str
    version: str


def read_module(path: Path) -> Module:
    """Reads the call of `module` in a MODULE.bazel.

    See https://bazel.build/rules/lib/globals/module#module.

    Raises:
        UserError: there is no such call, or it has no name or version.
    """
    try:
        # The calls in such a file are also valid Python.
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    for node in tree.body:
        match node:
            case ast.Expr(ast.Call(ast.Name("module"), keywords=keywords)):
                said = {word.arg: word.value.value for word in keywords if isinstance(word.value, ast.Constant)}
                name, version = said.get("name"), said.get("version")
                if isinstance(name, str) and isinstance(version, str) and version:
                    return Module(name, version)
                raise UserError(f"{path}:{node.lineno}: module() has no name or no version; a release needs both")
    raise UserError(f"{path}: has no call of module()")


def read_changes(path: Path, version: str) -> str:
    """Returns the section of a version in a changelog, without its heading.

    See https://keepachangelog.com/en/1.1.0/ for the format.

    Raises:
        UserError: there is no such section, or it has no date or text.
    """
    text = path.read_text(encoding="utf-8")
    sections = list(_SECTION.finditer(text))
    for section, following in itertools.zip_longest(sections, sections[1:]):
        if section["version"] != version:
            continue
        line = text.count("\n", 0, section.start()) + 1
        if section["date"] is None:
            raise UserError(f"{path}:{line}: has no date; write: ## [{version}] - YYYY-MM-DD")
        changes = text[section.end() : following and following.start()].strip()
        if not changes:
            raise UserError(f"{path}:{line}: has no text for version {version}")
        return changes
    known = ", ".join(section["version"] for section in sections) or "none"
    raise UserError(
        f"{path}: has no section '## [{version}] - YYYY-MM-DD' for the version of MODULE.bazel (there are: {known}); "
        "rename [Unreleased], or change the version"
    )
