import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.elf.dynamic import is_elf, read_dynamic
from tools.image.extents import Image
from tools.testing.elf_files import elf_file
from tools.testing.oracles import oracle


def readelf(path):
    """Returns interpreter, needed libraries and search path as readelf prints them."""
    text = subprocess.run(
        [oracle("readelf"), "--wide", "--dynamic", "--program-headers", path],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    interpreter = re.search(r"\[Requesting program interpreter: (.*)\]", text)
    search = re.findall(r"Library (?:runpath|rpath): \[(.*)\]", text)
    return (
        interpreter and interpreter[1],
        re.findall(r"\(NEEDED\) +Shared library: \[(.*)\]", text),
        [part for value in search for part in value.split(":")],
    )


def programs():
    names = ["sh", "tar", "mount", "python3", "openssl", "git", "ssh", "ldconfig"]
    found = [path for name in names if (path := shutil.which(name))]
    libraries = {os.path.realpath(line.split()[2]) for path in found[:3] for line in ldd(path) if "=> /" in line}
    return sorted({os.path.realpath(path) for path in found} | libraries | {os.path.realpath(sys.executable)})


def ldd(path):
    return subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout.splitlines()


def test_agrees_with_readelf_on_what_is_installed():
    seen = 0
    for path in programs():
        image = Image.from_file(path)
        if not is_elf(image):
            continue
        dynamic = read_dynamic(image, path)
        decode = os.fsdecode
        ours = (
            dynamic.interpreter and decode(dynamic.interpreter),
            list(map(decode, dynamic.needed)),
            list(map(decode, dynamic.search)),
        )
        assert ours == readelf(path), path
        seen += 1
    assert seen > 3


def test_a_script_is_no_elf_file():
    script = Image.from_bytes(b"#!/bin/sh\n")
    assert not is_elf(script)
    assert not is_elf(Image.from_bytes(b""))
    with pytest.raises(UserError, match="init: not a readable ELF file"):
        read_dynamic(script, "init")


@pytest.fixture(scope="module")
def program():
    return Path("/bin/sh").read_bytes()


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (4, 1, "not a 64-bit little-endian file"),  # EI_CLASS
        (5, 2, "not a 64-bit little-endian file"),  # EI_DATA
        (54, 32, "its program headers have 32 bytes each"),  # e_phentsize
        (39, 0xFF, "are not inside an image"),  # e_phoff
    ],
)
def test_what_cannot_be_read_is_refused(program, offset, value, message):
    damaged = bytearray(program)
    damaged[offset] = value
    with pytest.raises(UserError, match=message):
        read_dynamic(Image.from_bytes(bytes(damaged)), "sh")


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.data())
def test_damage_is_an_error_or_another_answer_but_no_crash(program, data):
    damaged = bytearray(program)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, 1500))] = data.draw(st.integers(0, 255))
    image = Image.from_bytes(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    with contextlib.suppress(UserError):
        read_dynamic(image, "sh")


def test_agrees_with_readelf_on_what_tests_build(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(
        elf_file(needed=("liba.so.1", "libb.so"), search="$ORIGIN/../lib:/opt/lib", interpreter="/lib/ld.so")
    )
    dynamic = read_dynamic(Image.from_file(path), "program")
    assert readelf(path) == ("/lib/ld.so", ["liba.so.1", "libb.so"], ["$ORIGIN/../lib", "/opt/lib"])
    assert (dynamic.interpreter, dynamic.needed) == (b"/lib/ld.so", (b"liba.so.1", b"libb.so"))
    assert (dynamic.search, dynamic.inherited) == ((b"$ORIGIN/../lib", b"/opt/lib"), False)
    assert (dynamic.machine, dynamic.type) == ("x86_64", "shared")
    assert read_dynamic(Image.from_bytes(elf_file(search="/a", rpath=True)), "program").inherited


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (elf_file(interpreter="/" + "a" * 5000), "a table of 5002 bytes is too large"),
        (elf_file(needed=["a"] * 1025), "more than 1024 dynamic entries of type 1"),
        (elf_file(needed=["a" * 5000]), "has no end within 4096 bytes"),
        (elf_file(interpreter="/a", segments=3), "it has 3 interpreters"),
        (elf_file(needed=["a"], dynamic_sections=60000), "it has 60000 dynamic sections"),
    ],
)
def test_what_would_take_much_time_or_memory_is_refused(file, message):
    with pytest.raises(UserError, match=f"program: not a readable ELF file: {message}|{message}"):
        read_dynamic(Image.from_bytes(file), "program")
