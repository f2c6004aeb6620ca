import ast
import subprocess
import sys

import pytest

from guestos_tools.description import GUESTOS, image_constants
from guestos_tools.reference_payload import PROGRAMS, write_program, write_programs
from guestos_tools.sandbox_programs import SANDBOX_PROGRAMS


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    return write_programs(tmp_path_factory.mktemp("programs"))


def test_all_are_names_of_release_binaries():
    constants = image_constants()
    assert set(constants["REQUIRED_BINARIES"]) <= set(PROGRAMS) <= set(constants["RELEASE_BINARIES"])


@pytest.mark.parametrize("program", [program for program in PROGRAMS if program not in SANDBOX_PROGRAMS])
def test_each_script_says_what_it_is(programs, program):
    # As the first line of the file does it on a machine.
    command = [sys.executable, "-IB", programs[program], "--help"]
    said = " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert said.startswith(f"usage: {program} ")
    assert "stand-in of the reference payload; not a program of the Internet Computer" in said
    assert programs[program].read_bytes().startswith(b"#!/usr/bin/python3 -IB\n")


@pytest.mark.parametrize("program", SANDBOX_PROGRAMS)
def test_each_executable_says_what_it_is(programs, program):
    # What it prints for --help; the libraries to run it may be missing here.
    data = programs[program].read_bytes()
    assert data.startswith(b"\x7fELF")
    assert b"stand-in of the reference payload; not a program of the Internet Computer" in data
    assert programs[program].stat().st_mode & 0o7777 == 0o755


def test_the_order_of_the_modules_does_not_matter(programs, tmp_path):
    modules = [path for path in (GUESTOS / "payload/standins").glob("*.py") if not path.name.endswith("_test.py")]
    for order in (sorted(modules), sorted(modules, reverse=True)):
        write_program("replica", order, tmp_path / "replica")
        assert (tmp_path / "replica").read_bytes() == programs["replica"].read_bytes()


def test_they_import_nothing_but_themselves_and_the_standard_library():
    for path in (GUESTOS / "payload/standins").glob("*.py"):
        if not path.name.endswith("_test.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                else:
                    names = [node.module] if isinstance(node, ast.ImportFrom) else []
                for name in names:
                    package = name.split(".")[0]
                    assert package == "standins" or package in sys.stdlib_module_names, f"{path}: {name}"
