"""Tests of the check of programs."""

import pytest

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.rootfs.executables import check_executables
from tools.rootfs.linking import package_of
from tools.rootfs.tree_spec import ExecutablesSpec
from tools.testing.elf_files import AARCH64, elf_file
from tools.testing.small_trees import layer
from tools.tree.node import File
from tools.tree.paths import components

LINKER = "/lib64/ld-linux-x86-64.so.2"


class Tree:
    """A root tree with a dynamic linker and a shell."""

    def __init__(self):
        self.layer = layer(
            "//base", "usr/bin/", "usr/lib/", "opt/bin/", "lib64 -> usr/lib64", "lib -> usr/lib", "bin -> usr/bin"
        )
        self.add(LINKER, elf_file())
        self.add("usr/bin/sh", elf_file(interpreter=LINKER, needed=["libc.so.6"]))
        self.add("usr/lib/x86_64-linux-gnu/libc.so.6", elf_file())

    def add(self, path, content, mode=0o755):
        self.layer.add(components(path), File(permissions=mode, content=Image.from_bytes(content)))

    def check(self, *paths):
        spec = ExecutablesSpec(list(paths or ["/opt/bin/*"]))
        check_executables(self.layer.root, [spec])

    def fault(self):
        with pytest.raises(UserError) as caught:
            self.check()
        return str(caught.value).removeprefix("has programs that cannot start: /opt/bin/a (of //base) ")


@pytest.fixture
def tree():
    return Tree()


def program(*needed, **fields):
    return elf_file(interpreter=LINKER, needed=needed, **fields)


def missing(library, package):
    return f"needs {library}, which the root does not have for x86_64; on Debian, the package {package} may have it"


def test_programs_that_can_start(tree):
    tree.add("opt/bin/dynamic", program("libc.so.6"))
    tree.add("opt/bin/static", elf_file(kind=2))
    tree.add("opt/bin/script", b"#!/bin/sh\n")
    tree.add("opt/bin/options", b"#! /usr/bin/sh -eu\nx\n")
    tree.add("usr/bin/env", elf_file())
    tree.add("opt/bin/env", b"#!/usr/bin/env -S A=b sh -x")
    tree.add("opt/bin/own", program("libown.so.1", search="$ORIGIN/../lib:/nowhere"))
    tree.add("opt/lib/libown.so.1", elf_file(needed=["libc.so.6"]))
    tree.add("etc/ld.so.conf", b"# comment\ninclude /etc/ld.so.conf.d/*.conf\n")
    tree.add("etc/ld.so.conf.d/a.conf", b"/opt/configured # there\n")
    tree.add("opt/configured/libconf.so.2", elf_file())
    tree.add("opt/bin/configured", program("libconf.so.2"))
    tree.add("opt/bin/linker", program("ld-linux-x86-64.so.2"))
    tree.add("opt/bin/folder/file", b"")
    tree.check()
    tree.check("/opt/bin/dynamic", "/usr/bin/sh")


def test_configuration_that_includes_itself_is_read_once(tree):
    tree.add("etc/ld.so.conf", b"include *.conf\n" * 4000)
    tree.add("etc/more.conf", b"include ld.so.conf more.conf\n/opt/configured/\n" * 1000)
    tree.add("opt/configured/libconf.so.2", elf_file())
    tree.add("opt/bin/configured", program("libconf.so.2"))
    tree.check()


def test_libraries_inherit_only_rpath(tree):
    tree.add("opt/own/liba.so.1", elf_file(needed=["libb.so.1"]))
    tree.add("opt/own/libb.so.1", elf_file())
    tree.add("opt/bin/a", program("liba.so.1", search="/opt/own", rpath=True))
    tree.check()
    tree = Tree()
    tree.add("opt/own/liba.so.1", elf_file(needed=["libb.so.1"]))
    tree.add("opt/own/libb.so.1", elf_file())
    tree.add("opt/bin/a", program("liba.so.1", search="/opt/own"))
    assert tree.fault() == missing("libb.so.1", "libb1") + " (for /opt/own/liba.so.1)"


def test_a_library_that_is_loaded_already_is_not_searched_again(tree):
    tree.add("opt/own/liba.so.1", elf_file(needed=["libb.so.1"]))
    tree.add("opt/own/libb.so.1", elf_file())
    tree.add("opt/bin/a", program("liba.so.1", "libb.so.1", search="/opt/own"))
    tree.check()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"echo\n", "is neither an ELF file nor a script with an interpreter in its first line"),
        (b"\x7fELF", "cannot be loaded: bytes 0 to 16 are not inside an image of 4 bytes"),
        (
            elf_file()[:70],
            (
                "cannot be loaded: /opt/bin/a: not a readable ELF file: bytes 64 to 176 are not inside an image of 70 "
                "bytes"
            ),
        ),
        (elf_file(machine=AARCH64), "is built for aarch64, not for x86_64"),
        (elf_file(machine=9999), "is built for machine 9999, not for x86_64"),
        (elf_file(kind=1), "is an ELF file of type relocatable, not a program"),
        (elf_file(needed=["libc.so.6"]), "is a shared library, not a program: it names no dynamic linker"),
        (program("libc.so.6", "libpq.so.5"), missing("libpq.so.5", "libpq5")),
        (program("../../etc\n"), missing("../../etc\\n", "../../etc\\n")),
        (elf_file(interpreter="/lib/ld-musl-x86_64.so.1"), missing("/lib/ld-musl-x86_64.so.1", "musl")),
        (b"#!/usr/bin/perl -w\n", "needs the interpreter /usr/bin/perl, which the root does not have as a program"),
        (b"#!/bin/sh\r\n", r"needs the interpreter /bin/sh\r, which the root does not have as a program"),
        (b"#!sh\n", "names the interpreter 'sh', which is not an absolute path"),
        (b"#!\n", "names the interpreter '', which is not an absolute path"),
        (b"#!/bin/sh" + b" " * 300, "has a first line of more than 256 bytes, which the kernel cuts off"),
        (b"#!/opt/bin\n", "needs the interpreter /opt/bin, which the root does not have as a program"),
    ],
)
def test_programs_that_cannot_start(tree, content, fault):
    tree.add("opt/bin/a", content)
    assert tree.fault() == fault


def test_env_has_to_find_its_program(tree):
    tree.add("usr/bin/env", elf_file())
    tree.add("opt/bin/a", b"#!/usr/bin/env python3\n")
    assert tree.fault() == "needs 'python3', which env finds in no directory of PATH"
    tree = Tree()
    tree.add("usr/bin/env", elf_file())
    tree.add("opt/own/python3", elf_file())
    tree.add("opt/bin/a", b"#!/usr/bin/env /opt/own/python3\n")
    tree.check()


def test_a_program_has_to_be_executable(tree):
    tree.add("opt/bin/a", b"#!/bin/sh\n", 0o644)
    assert tree.fault() == "has mode 0644, which does not let anybody execute it: give it 0755"


def test_libraries_of_other_architectures_are_passed_over(tree):
    tree.add("usr/lib/x86_64-linux-gnu/liba.so.1", elf_file(machine=AARCH64))
    tree.add("opt/bin/a", program("liba.so.1"))
    assert tree.fault() == missing("liba.so.1", "liba1")
    tree.add("usr/lib64/liba.so.1", elf_file())
    tree.check()


def test_links(tree):
    tree.layer.root.entries[b"opt"].entries[b"bin"].entries.update(
        layer("//base", "a -> ../../usr/bin/sh").root.entries
    )
    tree.check()
    tree.layer.root.entries[b"opt"].entries[b"bin"].entries.update(layer("//base", "a -> a").root.entries)
    assert tree.fault() == "is a link to a, which is no file"
    tree.layer.root.entries[b"opt"].entries[b"bin"].entries.update(layer("//base", "a -> ../own/a").root.entries)
    tree.add("opt/own/a", b"#!/bin/sh\n", 0o644)
    assert tree.fault() == "has mode 0644, which does not let anybody execute it: give it 0755"


def test_origin_is_where_a_link_leads_to(tree):
    tree.layer.root.entries[b"opt"].entries[b"bin"].entries.update(layer("//base", "a -> ../own/bin/a").root.entries)
    tree.add("opt/own/bin/a", program("libown.so.1", search="$ORIGIN/../lib"))
    assert tree.fault() == missing("libown.so.1", "libown1")
    tree.add("opt/own/lib/libown.so.1", elf_file())
    tree.check()


def test_all_faults_are_in_one_line(tree):
    for number in range(10):
        tree.add(f"opt/bin/a{number}", b"")
    text = tree.fault()
    assert text.count("is empty") == 8
    assert text.endswith("; and 2 more")
    assert "\n" not in text


def test_a_plain_path_must_exist(tree):
    said = "gone: does not exist, but is one of the executables of the tree; add its package, or correct the path"
    with pytest.raises(UserError, match=said):
        tree.check("/opt/bin/gone")


def test_names_of_packages():
    names = {
        "libpq.so.5": "libpq5",
        "libstdc++.so.6": "libstdc++6",
        "libgcc_s.so.1": "libgcc-s1",
        "libm.so.6": "libc6",
        "ld-linux-x86-64.so.2": "libc6",
        "libdb-5.3.so": "libdb-5.3",
        "libpcre2.so.8": "libpcre2-8",
        "libX11.so.6": "libx11-6",
    }
    assert {name: package_of(name) for name in names} == names
