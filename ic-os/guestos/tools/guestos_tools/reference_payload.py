"""Writes programs of the reference payload: each is one file, which Python runs, with all modules of `standins`.

The file is a line that names the interpreter, and a zip archive behind it (PEP 441). It depends on nothing but the
modules. The programs of sandboxes are ELF executables instead (sandbox_programs.py). Scripts use this before any wheel
is there, so it imports no distribution.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from guestos_tools.description import GUESTOS
from guestos_tools.sandbox_programs import SANDBOX_PROGRAMS

_SCRIPTS = {
    "orchestrator": "orchestrator.main",
    "replica": "replica.main",
    "ic-crypto-csp": "crypto_csp.main",
    "ic-btc-adapter": "adapters.bitcoin",
    "ic-https-outcalls-adapter": "adapters.https_outcalls",
}
"""The programs that Python runs, and their functions of `standins`."""

PROGRAMS = (*_SCRIPTS, *SANDBOX_PROGRAMS)
"""Names of all programs."""

_PACKAGE = "standins"
_INTERPRETER = b"#!/usr/bin/python3 -IB\n"


def write_program(program: str, modules: Sequence[Path], output: Path) -> None:
    """Writes a program.

    Args:
        program: its name, one of PROGRAMS.
        modules: files of the package.
        output: the file to write.
    """
    executable = SANDBOX_PROGRAMS[program]() if program in SANDBOX_PROGRAMS else _script(program, modules)
    output.write_bytes(executable)
    output.chmod(0o755)


def _script(program: str, modules: Sequence[Path]) -> bytes:
    module, _, function = _SCRIPTS[program].rpartition(".")
    start = f"from {_PACKAGE}.{module} import {function}\n\n{function}()\n"
    contents = {"__main__.py": start.encode()}
    contents |= {f"{_PACKAGE}/{path.name}": path.read_bytes() for path in sorted(modules, key=lambda path: path.name)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for name, data in contents.items():
            member = zipfile.ZipInfo(name)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            writer.writestr(member, data)
    return _INTERPRETER + archive.getvalue()


def write_programs(folder: Path) -> dict[str, Path]:
    """Writes all programs, from the modules of the checkout, into a folder; returns their files by name."""
    modules = [path for path in (GUESTOS / "payload" / _PACKAGE).glob("*.py") if not path.name.endswith("_test.py")]
    folder.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        write_program(program, modules, folder / program)
    return {program: folder / program for program in PROGRAMS}
