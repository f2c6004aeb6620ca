"""The list of the keys by which machines with an image accept upgrades or bootstrap media, as text.

The keys are read as machines read them, so that an image never has one that a machine can't read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guestos.errors import GuestError
from guestos.update_keys import Key, read_key

from tools.core.errors import UserError


def update_keys_text(variant: str, paths: Sequence[str], refused_paths: Sequence[str] = ()) -> str:
    """Returns the list of keys, a line each, below a line that says what they are for.

    Args:
        variant: of the machines.
        paths: of the keys, PEM files.
        refused_paths: of keys that must not be among them.

    Raises:
        UserError: a file has no key that machines can read, or a refused one; or two have the same key.
    """
    _check(variant, paths, refused_paths)
    if not paths:
        return f"Machines with this image ({variant}) accept no upgrade: it has no update keys.\n"
    first = f"Machines with this image ({variant}) accept upgrades that are signed by one of these keys:"
    return _lines(first, paths)


def bootstrap_keys_text(variant: str, paths: Sequence[str], refused_paths: Sequence[str] = ()) -> str:
    """Returns the same for the keys that sign bootstrap media.

    Raises:
        UserError: see `update_keys_text`.
    """
    _check(variant, paths, refused_paths)
    if not paths:
        return f"Machines with this image ({variant}) accept every bootstrap medium: it has no bootstrap keys.\n"
    first = f"Machines with this image ({variant}) accept bootstrap media that are signed by one of these keys alone:"
    return _lines(first, paths)


def _check(variant: str, paths: Sequence[str], refused_paths: Sequence[str]) -> None:
    refused = {_read(path).id: path for path in refused_paths}
    seen: dict[str, str] = {}
    for path in paths:
        key = _read(path)
        if key.id in refused:
            raise UserError(f"{path}: must not be a key of {variant}: it is {refused[key.id]}, which is for tests")
        if key.id in seen:
            raise UserError(f"{path}: is the same key as {seen[key.id]}; leave one of them out")
        seen[key.id] = path


def _lines(first: str, paths: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in [first, *(_line(_read(path)) for path in paths)])


def _line(key: Key) -> str:
    until = "does not expire" if key.expires is None else f"expires after {key.expires}"
    return f"{key.id}  {Path(key.path).name}, {until}"


def _read(path: str) -> Key:
    try:
        return read_key(path)
    except GuestError as error:
        raise UserError(str(error)) from error
