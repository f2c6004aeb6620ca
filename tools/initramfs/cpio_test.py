import io
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.initramfs.cpio import cpio
from tools.testing.oracles import oracle
from tools.tree.node import Device, Directory, Fifo, File, Symlink


def data(root):
    image = cpio(root)
    return image.read(0, image.size)


def file(content=b"", **options):
    return File(content=Image.from_bytes(content), **options)


def sample():
    return Directory(
        entries={
            b"init": file(b"#!/bin/sh\n", permissions=0o755),
            b"bin": Symlink(target=b"usr/bin"),
            b"usr": Directory(entries={b"bin": Directory(permissions=0o700, entries={b"sh": file(b"\0" * 4097)})}),
            b"console": Device(block=False, major=5, minor=1, permissions=0o600),
            b"disk": Device(block=True, major=8, minor=300, permissions=0o660, gid=6),
            b"pipe": Fifo(),
            b"empty": file(uid=1000, gid=70000),
        }
    )


def test_cpio_lists_it_as_it_is(tmp_path):
    listing = subprocess.run(
        [oracle("cpio"), "--list", "--verbose", "--numeric-uid-gid", "--quiet"],
        input=data(sample()), capture_output=True, check=True, env={"TZ": "UTC", "LC_ALL": "C"},
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in listing.stdout.decode().splitlines()]
    assert lines == [
        "lrwxrwxrwx 1 0 0 7 Jan 1 1970 bin -> usr/bin",
        "crw------- 1 0 0 5, 1 Jan 1 1970 console",
        "brw-rw---- 1 0 6 8, 300 Jan 1 1970 disk",
        "-rw-r--r-- 1 1000 70000 0 Jan 1 1970 empty",
        "-rwxr-xr-x 1 0 0 10 Jan 1 1970 init",
        "prw------- 1 0 0 0 Jan 1 1970 pipe",
        "drwxr-xr-x 2 0 0 0 Jan 1 1970 usr",
        "drwx------ 2 0 0 0 Jan 1 1970 usr/bin",
        "-rw-r--r-- 1 0 0 4097 Jan 1 1970 usr/bin/sh",
    ]


_NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b".."))
# bsdtar takes a backslash and a drive letter off the beginning of a path.
_NAMES = _NAMES.filter(lambda name: name != b"TRAILER!!!" and name[:1] != b"\\" and name[1:2] != b":")
_FILES = st.binary(max_size=40).map(file)
_TREES = st.recursive(
    _FILES, lambda nodes: st.dictionaries(_NAMES, nodes, max_size=4).map(lambda e: Directory(entries=e))
)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.dictionaries(_NAMES, _TREES, max_size=5))
def test_bsdtar_extracts_what_was_put_in(entries):
    root = Directory(entries=entries)
    pax = subprocess.run(
        [oracle("bsdtar"), "--format=pax", "-cf", "-", "@-"], input=data(root), capture_output=True, check=True
    ).stdout
    assert contents(pax) == dict(expected(root))


def expected(root, prefix=b""):
    for name, node in root.entries.items():
        if isinstance(node, Directory):
            yield prefix + name, None
            yield from expected(node, prefix + name + b"/")
        else:
            yield prefix + name, node.content.read(0, node.content.size)


def contents(archive):
    result = {}
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as tar:
        for member in tar:
            data = tar.extractfile(member)
            result[member.name.encode(errors="surrogateescape")] = data and data.read()
    return result


def test_holes_stay_holes():
    content = Image(1 << 20, [Extent(1 << 19, 4, Data(b"data"))])
    image = cpio(Directory(entries={b"sparse": File(content=content)}))
    assert image.size > 1 << 20
    assert image.data_size < 1000
    assert b"data" in image.read(1 << 19, 1000)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (File(content=Image(1 << 32)), "/x: is too large for an initramfs: 4 GiB or more"),
        (file(xattrs={b"security.capability": b"1"}), "/x: has security.capability, which the format cannot store"),
    ],
)
def test_what_does_not_fit_is_refused(node, message):
    with pytest.raises(UserError, match=message):
        cpio(Directory(entries={b"x": node}))


def test_a_file_that_would_end_the_archive_is_refused():
    with pytest.raises(UserError, match="/TRAILER!!!: has the name of the entry that ends the archive"):
        cpio(Directory(entries={b"TRAILER!!!": file()}))


def test_a_name_that_the_kernel_would_skip_is_refused():
    root = Directory()
    deep = root
    for _ in range(20):
        deep.entries[b"d" * 250] = deep = Directory()
    with pytest.raises(UserError, match="is a path of more than 4095 bytes"):
        cpio(root)
