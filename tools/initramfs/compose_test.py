import gzip
import lzma
import os
import re
import subprocess

import pytest
import zstandard

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.initramfs.compose import Contents, compose, kernel_version
from tools.initramfs.cpio import cpio
from tools.testing.oracles import oracle
from tools.testing.small_trees import layer, listing
from tools.tree.node import Directory, File, Symlink, walk
from tools.tree.paths import components, lookup

VERSION = "6.12.1-test"
INIT = Image.from_bytes(b"#!/bin/sh\n")


def root(*lines):
    return layer("root", *lines).root


def add(tree, path, data, permissions=0o644):
    folder = tree
    *folders, name = path.encode().split(b"/")
    for part in folders:
        folder = folder.entries.setdefault(part, Directory())
    folder.entries[name] = File(content=Image.from_bytes(data), permissions=permissions)


def content(tree, path):
    node = lookup(tree, components(path))
    assert isinstance(node, File)
    return node.content.read(0, node.content.size)


def composed(tree, **contents):
    return compose(tree, Contents(init=INIT, **contents), "root")


def test_has_the_first_process_the_console_and_what_was_asked_for():
    result = composed(root("a = 1"), folders=("proc", "a/b"), files={"etc/x": Image.from_bytes(b"text")})
    assert listing(result) == [
        "a/",
        "a/b/",
        "dev/",
        "dev/console: character device",
        "etc/",
        "etc/x = text",
        "init = #!/bin/sh\n",
        "proc/",
    ]
    node = lookup(result, components("init"))
    assert node is not None
    assert node.permissions == 0o755


def test_links_on_the_way_come_along():
    tree = root(
        "bin -> usr/bin", "usr/bin/sh -> dash", "usr/bin/dash -> /opt/../usr/bin/real", "opt/", "usr/bin/real = #!"
    )
    lines = listing(composed(tree, programs=("bin/sh", "/usr/bin/dash")))
    assert [line for line in lines if "->" in line or "real" in line] == [
        "bin -> usr/bin",
        "usr/bin/dash -> /opt/../usr/bin/real",
        "usr/bin/real = #!",
        "usr/bin/sh -> dash",
    ]


@pytest.mark.parametrize(
    ("lines", "program", "message"),
    [
        ((), "bin/sh", "root: has no /bin/sh, which the initramfs needs; add the package that has it"),
        (("bin -> usr/bin",), "bin/sh", "root: has no /bin/sh"),
        (("bin/",), "bin", "root: /bin is not a file"),
        (("a -> b", "b -> a"), "a", "root: too many symbolic links in /a"),
        (("init = x",), "init", "/init of the initramfs is given twice"),
    ],
)
def test_what_is_not_there_is_an_error(lines, program, message):
    with pytest.raises(UserError, match=message):
        composed(root(*lines), programs=(program,))


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A tree with the host's shell and cat, and what they need."""
    tree = Directory()
    for program in ("/bin/sh", "/bin/cat", "/usr/bin/env"):
        for path in [program, *libraries(program)]:
            copy(tree, path)
    return tree


def libraries(program):
    text = subprocess.run([oracle("ldd"), program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(?:=> |^\t)(/\S+)", text, re.MULTILINE)


def copy(tree, path):
    """Adds a file of the host to a tree, with the symbolic links in its path."""
    folder, done = tree, ""
    parts = [part for part in path.split("/") if part]
    for index, part in enumerate(parts):
        done += f"/{part}"
        if os.path.islink(done):
            target = os.readlink(done)
            folder.entries[part.encode()] = Symlink(target=target.encode())
            rest = "/".join(parts[index + 1 :])
            copy(tree, os.path.normpath(os.path.join(os.path.dirname(done), target, rest)))
            return
        if index == len(parts) - 1:
            mode = os.stat(done).st_mode & 0o7777
            folder.entries[part.encode()] = File(content=Image.from_file(done), permissions=mode)
        else:
            folder = folder.entries.setdefault(part.encode(), Directory())


def test_programs_bring_all_that_they_need_to_run(programs, tmp_path):
    result = composed(programs, programs=("bin/sh", "bin/cat"), files={"etc/x": Image.from_bytes(b"inside\n")})
    image = cpio(result)
    result_folder = tmp_path / "root"
    result_folder.mkdir()
    subprocess.run(
        [oracle("bsdtar"), "-xf", "-", "--exclude", "dev"],
        input=image.read(0, image.size), cwd=result_folder, check=True,
    )  # fmt: skip
    linker = next(path for path, _ in walk(result) if os.path.basename(path).startswith(b"ld-linux"))
    folder = os.fsdecode(os.path.dirname(linker))
    # Run the dynamic linker of the tree, with only the libraries of the tree.
    command = [result_folder / os.fsdecode(linker), "--inhibit-cache", "--library-path", result_folder / folder]
    for program in ("sh", "cat"):
        path = result_folder / "bin" / program
        listed = subprocess.run([*command, "--list", path], capture_output=True, text=True, check=True).stdout
        assert "not found" not in listed
        outside = [line for line in re.findall(r"=> (\S+)", listed) if not line.startswith(os.fspath(result_folder))]
        assert not outside
    done = subprocess.run(
        [*command, result_folder / "bin/cat", result_folder / "etc/x"], capture_output=True, check=True
    )
    assert done.stdout == b"inside\n"


def test_a_missing_library_is_named(programs):
    tree = composed(programs, programs=("bin/cat",))
    for _, node in list(walk(tree)):
        if isinstance(node, Directory):
            for name in [name for name in node.entries if name.startswith(b"libc.so")]:
                del node.entries[name]
    with pytest.raises(UserError, match=r"root: /.*cat needs libc\.so\.6, which is in none of its library directories"):
        composed(tree, programs=("bin/cat",))


def modules(*, compress=lambda data: data, extension=""):
    tree = Directory()
    folder = f"usr/lib/modules/{VERSION}"
    dep = f"k/verity.ko{extension}: k/mod.ko{extension}\nk/mod.ko{extension}:\n"
    for name, data in (("dep", dep), ("builtin", ""), ("softdep", "")):
        add(tree, f"{folder}/modules.{name}", data.encode())
    for name in ("verity", "mod"):
        add(tree, f"{folder}/k/{name}.ko{extension}", compress(name.encode() * 100))
    return tree


@pytest.mark.parametrize(
    ("extension", "compress"),
    [
        ("", bytes),
        (".xz", lambda data: lzma.compress(data, check=lzma.CHECK_CRC32)),
        (".gz", gzip.compress),
        (".zst", zstandard.compress),
    ],
)
def test_modules_are_unpacked_and_listed_in_order(extension, compress):
    result = composed(modules(extension=extension, compress=compress), modules=("verity",))
    paths = content(result, "etc/modules").decode().splitlines()
    assert paths == [f"/usr/lib/modules/{VERSION}/k/{name}.ko" for name in ("mod", "verity")]
    for path, name in zip(paths, ("mod", "verity"), strict=True):
        assert content(result, path) == name.encode() * 100


def test_a_damaged_module_is_an_error():
    tree = modules(extension=".xz", compress=lambda data: b"\xfd7zXZ\0" + data)
    with pytest.raises(UserError, match=rf"root: /usr/lib/modules/{VERSION}/k/mod\.ko\.xz cannot be decompressed"):
        composed(tree, modules=("verity",))


def halves(compress):
    return lambda data: compress(data[:100]) + compress(data[100:])


def cut(compress):
    return lambda data: compress(os.urandom(5000))[:-9]


COMPRESSORS = [(".xz", lzma.compress), (".gz", gzip.compress), (".zst", zstandard.compress)]


@pytest.mark.parametrize(("extension", "compress"), COMPRESSORS)
def test_all_streams_of_a_module_are_unpacked(extension, compress):
    result = composed(modules(extension=extension, compress=halves(compress)), modules=("verity",))
    assert content(result, f"usr/lib/modules/{VERSION}/k/verity.ko") == b"verity" * 100


@pytest.mark.parametrize(("extension", "compress"), COMPRESSORS)
def test_a_truncated_module_is_an_error(extension, compress):
    tree = modules(extension=extension, compress=cut(compress))
    with pytest.raises(UserError, match=rf"/k/mod\.ko\{extension} cannot be decompressed: .*; replace it in the tree"):
        composed(tree, modules=("verity",))


def test_a_module_that_is_too_large_is_an_error(monkeypatch):
    monkeypatch.setattr("tools.initramfs.compose._MAX_MODULE_BYTES", 200)
    tree = modules(extension=".gz", compress=gzip.compress)
    with pytest.raises(UserError, match=r"mod\.ko\.gz: is larger than 200 bytes when decompressed"):
        composed(tree, modules=("mod",))


def test_soft_dependencies_are_found_by_aliases():
    tree = modules()
    folder = f"usr/lib/modules/{VERSION}"
    add(tree, f"{folder}/modules.dep", b"k/verity.ko:\nk/mod.ko:\n")
    add(tree, f"{folder}/modules.softdep", b"softdep verity pre: crypto-x\n")
    with pytest.raises(UserError, match=f"root: has no /{folder}/modules.alias"):
        composed(tree, modules=("verity",))
    add(tree, f"{folder}/modules.alias", b"alias crypto-x mod\n")
    result = composed(tree, modules=("verity",))
    assert content(result, "etc/modules").decode() == f"/{folder}/k/mod.ko optional\n/{folder}/k/verity.ko\n"


def test_there_must_be_one_kernel():
    tree = modules()
    assert kernel_version(tree, "root") == VERSION
    add(tree, "usr/lib/modules/other/modules.dep", b"")
    with pytest.raises(UserError, match=f"exactly one kernel in /usr/lib/modules, has {VERSION}, other"):
        composed(tree, modules=("verity",))
