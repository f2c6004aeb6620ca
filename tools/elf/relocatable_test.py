import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.elf.relocatable import link
from tools.testing.oracles import ask

SOURCE = """\
.text
.globl _start
_start: movabs $table, %rax
 call function
 lea message(%rip), %rcx
 ret
.balign 32
function: movabs $message+2, %rdx
 mov counter(%rip), %ebx
 ret
.section .rodata, "a"
message: .asciz "text"
.balign 16
table: .quad function, message + 1, table, counter
.data
number: .quad number, 7
.bss
counter: .skip 100
"""
PAGE = 0x1000


@pytest.fixture
def assemble(tmp_path, monkeypatch):
    """Returns the object file of a source."""
    monkeypatch.chdir(tmp_path)

    def run(source):
        (tmp_path / "source").write_text(source)
        ask("as", "--64", "-o", "object", "source")
        return (tmp_path / "object").read_bytes()

    return run


def test_agrees_with_ld(assemble, tmp_path):
    """ld places the sections at the same addresses, as it is told to; all bytes are the same."""
    linked = link(assemble(SOURCE), "object", PAGE)
    assert linked.symbols["_start"] == linked.code_address == PAGE
    assert linked.data_address == 2 * PAGE
    script = """SECTIONS {
        . = 0x1000; .text : { *(.text) }
        . = 0x2000; .data : { *(.data) . = ALIGN(4); *(.bss) . = ALIGN(16); *(.rodata) }
    }"""
    (tmp_path / "script").write_text(script)
    ask("ld", "-T", "script", "-o", "linked", "object")
    for name, ours in ((".text", linked.code), (".data", linked.data)):
        ask("objcopy", "-O", "binary", f"--only-section={name}", "linked", "dumped")
        theirs = (tmp_path / "dumped").read_bytes()
        assert ours[: len(theirs)] == theirs
        assert not any(ours[len(theirs) :])


def test_words_are_what_moves_with_the_address(assemble):
    """The file linked at another address differs in these words alone, by the distance."""
    content = assemble(SOURCE)
    first, second = link(content, "object", PAGE), link(content, "object", 5 * PAGE)
    assert len(first.words) == 7
    assert [word + 4 * PAGE for word in first.words] == list(second.words)
    images = [bytearray(linked.code + linked.data) for linked in (first, second)]
    for word in first.words:
        values = [int.from_bytes(image[word - PAGE : word - PAGE + 8], "little") for image in images]
        assert values[1] - values[0] == 4 * PAGE
        for image in images:
            image[word - PAGE : word - PAGE + 8] = bytes(8)
    assert images[0] == images[1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("call elsewhere", "a symbol of section 0 is not defined in the file"),
        (".quad shared\n.comm shared, 8", "a symbol of section 65522 is not defined in the file"),
        ("mov target, %eax\ntarget: ret", "relocations of type 11, which is not supported"),
        (".bss\n.skip 1 << 30", "it has a section of 1073741824 bytes"),
    ],
)
def test_what_cannot_be_linked_is_refused(assemble, source, message):
    with pytest.raises(UserError, match=message):
        link(assemble(f"{source}\n"), "object", PAGE)


def test_other_files_are_refused():
    for content in (b"", b"#!/bin/sh\n" * 10, b"\x7fELF\x02\x01" + bytes(100)):
        with pytest.raises(UserError, match="object: cannot be linked"):
            link(content, "object", PAGE)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    folder = tmp_path_factory.mktemp("object")
    (folder / "source").write_text(SOURCE)
    ask("as", "--64", "-o", folder / "object", folder / "source")
    return (folder / "object").read_bytes()


@given(st.data())
def test_damage_is_an_error_or_another_result_but_no_crash(content, data):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UserError):
        link(bytes(damaged[: data.draw(st.integers(0, len(content)))]), "object", PAGE)
