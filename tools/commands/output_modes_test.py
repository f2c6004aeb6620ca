"""Tests that no command makes an output that is open to more users than the files that it is made from."""

import importlib
import json
import os
import re
import stat
from pathlib import Path

import pytest

from tools.core.cli import call
from tools.core.json_spec import OutputName
from tools.core.parameters import parameters
from tools.testing.command_cases import CASES, make_inputs

WITHOUT_CONTENT = {
    "debian_base_root": "its inputs are packages of an archive; it starts their programs",
    "debian_lock_check": "its output is empty",
    "debian_lock_update": "its output is made from the lists of an archive",
    "disk_layout_check": "its output is empty",
    "swap_image": "it has no inputs",
    "vm_boot_check": "its output is what a machine prints",
    "vm_launcher": "the disk that it keeps is always secret",
}
"""The commands whose outputs have nothing of files that they are given, with the reason."""


def module(name):
    return importlib.import_module(f"tools.commands.{name}")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with all inputs in `in`, and a place for outputs. The umask is the usual one."""
    before = os.umask(0o022)
    monkeypatch.chdir(tmp_path)
    make_inputs(tmp_path / "in")
    assert run("upgrade_manifest", {"output": "in/manifest"}) == 0
    (tmp_path / "out").mkdir()
    yield tmp_path
    os.umask(before)


def set_modes(folder, mode):
    for path in (folder / "in").rglob("*"):
        if path.is_file():
            path.chmod(mode)
            os.chown(path, -1, os.getegid())


def run(name, changes=None):
    Path("spec.json").write_text(json.dumps(CASES[name] | (changes or {})))
    return call(module(name).main, module(name).Arguments, "", [name, "--spec=spec.json"])


def modes_of_outputs(folder, name):
    assert run(name) == 0
    outputs = {each.name for each in parameters(module(name).Arguments) if each.type == OutputName}
    written = [Path(value) for key, value in CASES[name].items() if key in outputs]
    if CASES[name].get("sha256"):
        written += [Path(f"{path}.sha256") for path in written]
    assert sorted(written) == sorted(path.relative_to(folder) for path in (folder / "out").iterdir())
    return {stat.S_IMODE(path.stat().st_mode) for path in written}


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_for_the_readers_of_the_inputs(folder, name):
    for mode, expected in ((0o600, 0o600), (0o640, 0o640), (0o644, 0o644)):
        set_modes(folder, mode)
        assert modes_of_outputs(folder, name) == {expected}


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_secret_from_their_first_byte(folder, monkeypatch, name):
    """The mode is right when the output is made, not set afterwards."""

    def refuse(*_):
        raise AssertionError("the mode of an output was changed")

    monkeypatch.setattr(os, "fchmod", refuse)
    set_modes(folder, 0o600)
    assert modes_of_outputs(folder, name) == {0o600}


def test_a_signature_is_open_though_its_key_is_not(folder):
    (folder / "in/key.pem").chmod(0o600)
    assert modes_of_outputs(folder, "upgrade_signature") == {0o644}


def test_an_output_that_was_secret_is_no_input(folder):
    for name in ("tar", "zst", "gz", "raw"):
        (folder / "out" / name).touch(0o600)
    assert modes_of_outputs(folder, "disk_image") == {0o644}


def declared_commands():
    table = (Path(__file__).parent / "command.bzl").read_text()
    names = re.findall(r'^    "(\w+)": \[', table, re.MULTILINE)
    assert len(names) > 20
    return {name: parameters(module(name).Arguments) for name in names}


def test_there_is_a_case_for_every_command_that_writes_a_file():
    writing = {name for name, given in declared_commands().items() if any(each.type == OutputName for each in given)}
    assert writing == CASES.keys() | WITHOUT_CONTENT.keys()


def test_arguments_that_name_outputs_have_the_type_of_outputs():
    given = [(name, each) for name, arguments in declared_commands().items() for each in arguments if each.names_files]
    assert [(name, each.name) for name, each in given if "to write" in each.help and each.type != OutputName] == []
