"""Reads what the GuestOS consists of from the file that Bazel loads it from."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from tools.core.errors import UserError

WORKSPACE = Path(__file__).absolute().parents[4]
GUESTOS = WORKSPACE / "ic-os" / "guestos"


def read_constants(path: Path) -> dict[str, Any]:
    """Returns the constants of a .bzl file that holds nothing but assignments of literals.

    Literals are written in Starlark as in Python.

    Raises:
        UserError: it holds something else; the message names the line.
    """
    try:
        module = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(f"{path}:{error.lineno}: {error.msg}") from error
    constants: dict[str, Any] = {}
    for statement in module.body:
        match statement:
            case ast.Expr(value=ast.Constant(value=str())):
                continue
            case ast.Assign(targets=[ast.Name(id=name)]):
                try:
                    constants[name] = ast.literal_eval(statement.value)
                    continue
                except ValueError:
                    pass
        raise UserError(f"{path}:{statement.lineno}: is not NAME = LITERAL, which is all that this file may hold")
    return constants


def image_constants() -> dict[str, Any]:
    """Returns the constants of release_binaries.bzl and defaults.bzl in ic-os/guestos."""
    return read_constants(GUESTOS / "release_binaries.bzl") | read_constants(GUESTOS / "defaults.bzl")
