"""Tests of the form of the programs; payload/standins/sandboxes_test.py runs them."""

import re
import subprocess

import pytest

from guestos_tools import sandbox_programs
from guestos_tools.elf_program import BASE, DATA, LINKER, Code, elf_program
from guestos_tools.sandbox_programs import LIBRARIES, SANDBOX_PROGRAMS
from tools.elf.dynamic import is_elf, machine_of, read_dynamic
from tools.image.extents import Image
from tools.testing.oracles import ask


@pytest.mark.parametrize("name", SANDBOX_PROGRAMS)
def test_they_are_linked_to_the_libraries_of_a_release(name, tmp_path):
    data = SANDBOX_PROGRAMS[name]()
    content = Image.from_bytes(data)
    dynamic = read_dynamic(content, name)
    assert is_elf(content)
    assert (machine_of(content), dynamic.interpreter) == ("x86_64", LINKER.encode())
    assert dynamic.needed == tuple(name.encode() for name in LIBRARIES)
    assert set(LIBRARIES) >= {"liblmdb.so.0", "libunwind.so.8", "libselinux.so.1"}
    (tmp_path / name).write_bytes(data)
    text = ask("readelf", "--wide", "--dynamic", "--segments", tmp_path / name)
    assert re.findall(r"\(NEEDED\) +Shared library: \[(.*)\]", text) == list(LIBRARIES)
    assert f"[Requesting program interpreter: {LINKER}]" in text
    flags = re.findall(r"^ +(LOAD|GNU_STACK) .* ([R ][W ][E ]) 0x", text, re.MULTILINE)
    assert flags == [("LOAD", "R E"), ("LOAD", "RW "), ("GNU_STACK", "RW ")], "nothing can be both written and executed"


@pytest.mark.parametrize("name", SANDBOX_PROGRAMS)
def test_the_same_bytes_each_time(name):
    assert SANDBOX_PROGRAMS[name]() == getattr(sandbox_programs, name)(LIBRARIES)


def test_instructions_are_what_a_disassembler_reads(tmp_path):
    code = Code()
    code.label("start")
    code.set("rax", 0x1122334455667788)
    code.set("r9", -1)
    code.set("r12", "rax")
    code.add("rbx", "r15")
    code.compare("rdi", "r8")
    code.jump("start", "equal")
    code.test("r13")
    code.jump("start", "negative")
    code.load("rdx", "r13", 16)
    code.load_int("r10", "rbx", -4)
    code.store("rbp", 8, "r14")
    code.call("r11")
    code.jump("end", "different")
    code.system_call(60, "rbx")
    code.label("end")
    code.jump("start")
    path = tmp_path / "code"
    path.write_bytes(code.assembled())
    text = ask("objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--no-show-raw-insn", path)
    lines = [" ".join(line.split("\t")[1].split()) for line in text.splitlines() if "\t" in line]
    assert lines == [
        "movabs rax,0x1122334455667788",
        "movabs r9,0xffffffffffffffff",
        "mov r12,rax",
        "add rbx,r15",
        "cmp rdi,r8",
        "je 0x0",
        "test r13,r13",
        "js 0x0",
        "mov rdx,QWORD PTR [r13+0x10]",
        "movsxd r10,DWORD PTR [rbx-0x4]",
        "mov QWORD PTR [rbp+0x8],r14",
        "rex call r11" if "rex call r11" in lines else "call r11",
        "jne 0x59",
        "mov rdi,rbx",
        "movabs rax,0x3c",
        "syscall",
        "jmp 0x0",
    ]


def test_operands_that_need_another_encoding_are_refused():
    for base in ("rsp", "r12"):
        with pytest.raises(ValueError, match=base):
            Code().load("rax", base)


def test_a_program_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        elf_program(b"\x90" * 4096, b"", b"", 0, [])


def test_the_exit_status_of_a_program(tmp_path):
    code = Code()
    code.set("rbx", DATA)
    code.load("rbx", "rbx", 8)
    code.system_call(231, "rbx")
    path = tmp_path / "program"
    path.write_bytes(elf_program(code.assembled(), b"", (0).to_bytes(8, "little") + b"\x2a", 64, ["libc.so.6"]))
    path.chmod(0o755)
    assert subprocess.run([path], check=False).returncode == 42
    assert BASE < DATA
