import hashlib
import re
import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.fat.names import folded
from tools.fat.reader import read_fat
from tools.fat.writer import Options, fat_image
from tools.image.extents import Data, Extent, Image
from tools.testing.oracles import ask, oracle
from tools.testing.raw import write_raw
from tools.tree.capacity import CapacityError
from tools.tree.compare import differences
from tools.tree.node import Device, Directory, Fifo, File, Socket, Symlink, walk

MIB = 1 << 20
TIME = int(datetime(2024, 2, 29, 13, 37, 42, tzinfo=UTC).timestamp()) * 10**9
UTF8 = {"LC_ALL": "C.UTF-8"}


def file(data=b"", mtime_ns=TIME, **options):
    return File(content=Image.from_bytes(data), mtime_ns=mtime_ns, **options)


def tree(entries=None, **options):
    """Returns a directory with entries by name: bytes for a file, a dict for a directory, or a node."""
    root = Directory(mtime_ns=TIME, **options)
    for name, what in (entries or {}).items():
        node = tree(what) if isinstance(what, dict) else file(what) if isinstance(what, bytes) else what
        root.entries[name if isinstance(name, bytes) else name.encode()] = node
    return root


def image_of(root, size=4 * MIB, **options):
    return fat_image(root, Options(**{"size": size, "volume_id": 0x1234ABCD} | options))


def extracted(path, folder):
    """Returns the tree that mtools reads from an image."""
    folder.mkdir()
    subprocess.run([oracle("mcopy"), "-snmi", path, "::/", folder], env=UTF8, check=True, stdin=subprocess.DEVNULL)
    return loaded(folder)


def loaded(folder):
    root = Directory()
    for path in folder.iterdir():
        node = loaded(path) if path.is_dir() else File(content=Image.from_bytes(path.read_bytes()))
        node.mtime_ns = path.stat().st_mtime_ns
        root.entries[path.name.encode()] = node
    return root


def assert_same(left, right, ignore=()):
    assert list(map(str, differences(left, right, ["permissions", "uid", "gid", *ignore]))) == []


def assert_valid(root, image, folder):
    """Checks with the reader, fsck.fat and mtools that an image is valid and holds a tree."""
    assert_same(root, read_fat(image).root, ["mtime"])
    path = write_raw(image, folder / "image")
    said = ask("fsck.fat", "-nv", path)
    entries = sum(1 for _ in walk(root)) - 1
    # fsck.fat also counts the label and some `.` entries.
    assert int(re.search(r"image: (\d+) files, ", said)[1]) >= entries
    assert_same(root, extracted(path, folder / "mtools"), ["mtime"])


BOOT = {"EFI": {"BOOT": {"BOOTX64.EFI": b"shim" * 30000, "grubx64.efi": b"grub"}}, "grub.cfg": b"", "grubenv": b"#"}


@pytest.mark.parametrize(
    ("size", "options", "bits"),
    [
        (256 << 10, {}, 12),
        (1440 << 10, {}, 12),
        (4 * MIB, {}, 12),
        (8 * MIB - 512, {}, 12),
        (8 * MIB, {}, 16),
        (10 * MIB, {}, 16),
        (100 * MIB, {}, 16),
        (100 * MIB + 512, {}, 16),
        (512 * MIB - 512, {}, 16),
        (512 * MIB, {}, 32),
        (9 << 30, {}, 32),
        (17 << 30, {}, 32),
        (33 << 30, {}, 32),
        (100 * MIB, {"bits": 12}, 12),
        (4 * MIB, {"bits": 16}, 16),
        (40 * MIB, {"bits": 32}, 32),
        (100 * MIB, {"bits": 32}, 32),
        (100 * MIB, {"cluster_size": 512}, 32),
        (100 * MIB, {"cluster_size": 32768}, 12),
        (300 * MIB, {"sector_size": 4096}, 16),
        (600 * MIB, {"sector_size": 4096}, 32),
        (3 * MIB, {"sector_size": 1024}, 12),
    ],
)
def test_types_and_sizes(size, options, bits, tmp_path):
    root = tree(BOOT)
    image = image_of(root, size, label="ESP", **options)
    volume = read_fat(image)
    assert (volume.geometry.bits, volume.label, volume.volume_id) == (bits, "ESP", 0x1234ABCD)
    assert volume.geometry.data_offset % volume.geometry.cluster_size == 0
    assert image.size == size
    assert_valid(root, image, tmp_path)
    said = ask("minfo", "-i", tmp_path / "image", "::")
    assert f'disk type="FAT{bits}   "' in said
    assert "serial number: 1234ABCD" in said
    assert 'disk label="ESP        "' in said


def test_times_are_utc_and_clamped(tmp_path):
    second = 10**9
    times = {"a": TIME + second, "b": TIME + 999_999_999, "old": -(10**18), "new": 10**19, "z": TIME}
    root = tree({name: file(mtime_ns=time) for name, time in times.items()})
    image = image_of(root)
    expected = {"a": TIME, "b": TIME, "old": 315532800 * second, "new": 4354819198 * second, "z": TIME}
    assert {name.decode(): node.mtime_ns for name, node in read_fat(image).root.entries.items()} == expected
    by_mtools = extracted(write_raw(image, tmp_path / "image"), tmp_path / "out")
    del expected["new"], by_mtools.entries[b"new"]  # mtools treats 2100 as a leap year
    assert {name.decode(): node.mtime_ns for name, node in by_mtools.entries.items()} == expected


def test_root_time_is_on_the_label(tmp_path):
    path = write_raw(image_of(tree(BOOT), label="A B C"), tmp_path / "image")
    assert "Volume in drive : is A B C" in ask("mdir", "-i", path, "::")
    assert ask("fsck.fat", "-nl", path).count("A B C") == 1


def test_empty_tree_without_a_label(tmp_path):
    for bits, size in ((12, 64 << 10), (16, 16 * MIB), (32, 64 * MIB)):
        path = write_raw(image_of(tree(), size, bits=bits), tmp_path / "image")
        ask("fsck.fat", "-n", path)
        assert "has no label" in ask("mdir", "-i", path, "::")
        assert read_fat(Image.from_file(path)).label == ""


def test_wide_directories(tmp_path):
    wide = {f"a name that is long, number {number}.configuration": b"" for number in range(3000)}
    root = tree({"wide": wide, **{f"f{number}": b"x" for number in range(700)}})
    for size, bits in ((8 * MIB, 16), (64 * MIB, 32)):
        folder = tmp_path / str(bits)
        folder.mkdir()
        assert_valid(root, image_of(root, size, bits=bits), folder)


def test_20000_entries_in_one_directory(tmp_path):
    root = tree({"d": {f"entry {number}": b"" for number in range(20000)}})
    path = write_raw(image_of(root, 8 * MIB), tmp_path / "image")
    ask("fsck.fat", "-n", path)
    assert_same(root, read_fat(Image.from_file(path)).root, ["mtime"])


def test_deep_paths_and_long_names(tmp_path):
    root = tree({"x" * 255: b"x", "\N{PENGUIN}" * 127: b"y", "ä" * 13: b"13", "b" * 26: b"26", "c" * 14: b"14"})
    directory = root
    for depth in range(60):
        directory.entries[b"d%d" % depth] = tree()
        directory = directory.entries[b"d%d" % depth]
    directory.entries[b"leaf"] = file(b"leaf")
    image = image_of(root)
    assert_same(root, read_fat(image).root, ["mtime"])
    path = write_raw(image, tmp_path / "image")
    ask("fsck.fat", "-n", path)
    assert ask("mtype", "-i", path, "::/" + "/".join(f"d{n}" for n in range(60)) + "/leaf") == "leaf"


def test_full_to_the_last_cluster(tmp_path):
    for size, options in ((MIB, {}), (8 * MIB, {"bits": 16}), (40 * MIB, {"bits": 32})):
        geometry = read_fat(image_of(tree(), size, **options)).geometry
        clusters = geometry.clusters - (1 if geometry.bits == 32 else 0)
        root = tree({"a": b"x" * (clusters * geometry.cluster_size)})
        folder = tmp_path / str(size)
        folder.mkdir()
        assert_valid(root, image_of(root, size, **options), folder)
        root.entries[b"b"] = file(b"y")
        with pytest.raises(UserError, match=r"it needs (\d+) clusters of \d+ bytes, but there are (\d+)"):
            image_of(root, size, **options)


def test_too_small_names_a_size_that_is_enough():
    root = tree({"a": b"x" * MIB})
    with pytest.raises(CapacityError, match=r"2048 clusters of 512 bytes, .* 2003; .* at least 1073152 ") as caught:
        image_of(root, MIB)
    image_of(root, caught.value.size)


@pytest.mark.parametrize(
    ("hole", "too_small", "options"),
    [
        (2 * MIB, MIB, {}),
        (8 * MIB, 5 * MIB, {"bits": 16}),
        (64 * MIB, 40 * MIB, {"bits": 32}),
        (4096 * MIB - 1, 3072 * MIB, {"bits": 32, "cluster_size": 32768}),
        (2 * MIB, MIB, {"label": "A"}),
    ],
)
@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_the_size_that_is_named_is_enough_and_no_smaller_one_is(hole, too_small, options, count):
    root = tree({f"file {number}": b"x" * 100 * number**2 for number in range(count)})
    root.entries[b"hole"] = File(content=Image(hole))
    with pytest.raises(CapacityError) as caught:
        image_of(root, too_small, **options)
    size = caught.value.size
    image_of(root, size, **options)
    step = 4096 if size < 4 * MIB else MIB
    with pytest.raises(UserError):
        image_of(root, size - step, **options)


def test_huge_file_system_costs_what_it_holds():
    content = Image(3 << 30, [Extent(1 << 30, 5, Data(b"hello"))])
    root = tree({"sparse": File(content=content), "end": b"end"})
    for size in (2**41 - 512, 7 << 40):
        image = image_of(root, size, sector_size=512 if size < 2**41 else 4096)
        # 2 FATs, with 4 bytes for each cluster in use
        assert image.data_size < 2 * 4 * 3 * 32768 * 4
        assert read_fat(image).root.entries[b"sparse"].content.read(1 << 30, 6) == b"hello\0"
        assert len(image.extents) < 20


def test_contents_stay_ranges_of_their_source():
    class Untouchable:
        def read(self, offset, length):
            raise AssertionError("content was read")

        def advanced(self, offset):
            return self

    content = Image(100 * MIB, [Extent(0, 100 * MIB, Untouchable())])
    image = image_of(tree({"a": File(content=content)}), 128 * MIB)
    assert sum(extent.length for extent in image.extents if isinstance(extent.source, Untouchable)) == 100 * MIB


def test_bytes_stay_the_same():
    digest = hashlib.sha256()
    for options in ({}, {"bits": 16}, {"size": 64 * MIB, "bits": 32, "label": "CONFIG"}):
        image = image_of(tree({**BOOT, "ä long name": {"x": b"y" * 9999}}), **options)
        digest.update(image.read(0, image.size))
    assert digest.hexdigest() == "af5e1fd933606e6da9aabaf41e3b858fafba12ba69c0068984df4bb4b3f6792a"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"d": {"l": Symlink(target=b"x")}}, "/d/l is a symbolic link; FAT has only files and directories"),
        ({"d": {"n": Device(block=True, major=1, minor=2)}}, "/d/n is a block device; "),
        ({"d": {"p": Fifo()}}, "/d/p is a named pipe; "),
        ({"d": {"s": Socket()}}, "/d/s is a socket; "),
        (
            {"d": {"x": file(xattrs={b"user.a": b"", b"security.b": b""})}},
            "/d/x has extended attributes .security.b, user",
        ),
        ({"d": {"x": file(permissions=0o4755)}}, "/d/x has mode 4755, but FAT has no setuid"),
        ({"d": Directory(permissions=0o1777)}, "/d has mode 1777, but FAT has no setuid, setgid or sticky bit"),
        ({"d": {"a:b": b""}}, "/d/a:b has the character ':'"),
        ({"d": {b"\xff\n": b""}}, r"/d/\\xff\\n is not UTF-8"),
        ({"d": {"a.": b""}}, "/d/a. ends with a dot"),
        ({"d": {"x": b"", "X": b""}}, "/d/x differs only in case from /d/X"),
        ({"d": {"Ä": b"", "ä": {}}}, "/d/ä differs only in case from /d/Ä"),
        ({"d": {"x": file(origin="app.tar"), "X": b""}}, r"/d/x .from app.tar. differs only in case"),
        ({"big": File(content=Image(1 << 32))}, "/big has 4294967296 bytes; a file in FAT has at most 4294967295"),
        ({f"{n:05}{'x' * 250}": b"" for n in range(3121)}, r"/ needs 65541 entries, but FAT allows 65536"),
    ],
)
def test_trees_that_fat_cannot_store(entries, message):
    with pytest.raises(UserError, match=f"^{message}"):
        image_of(tree(entries), 1 << 34)


@pytest.mark.parametrize("options", [{"xattrs": {b"security.selinux": b"x"}}, {"permissions": 0o2755}])
def test_root_is_not_excepted(options):
    with pytest.raises(UserError, match=r"^/ has "):
        image_of(tree(**options))


def test_hard_links_are_refused():
    one, directory = file(b"x"), tree()
    with pytest.raises(UserError, match=r"^/d/b is a hard link to /a, which FAT does not support"):
        image_of(tree({"a": one, "d": {"b": one}}))
    directory.entries[b"loop"] = directory
    with pytest.raises(UserError, match=r"^/loop is a hard link to /"):
        image_of(directory)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size 0 is not a multiple"),
        ({"size": -512}, "is not a multiple"),
        ({"size": 1000}, "size 1000 is not a multiple of the sector size, 512 bytes"),
        ({"size": 512}, "size 512 cannot be FAT, which has"),
        ({"size": 1 << 41}, "is more than FAT can have: 4294967295 sectors of 512 bytes; use larger sectors"),
        ({"size": 1 << 44, "sector_size": 4096}, "is more than FAT can have: 4294967295 sectors of 4096 bytes$"),
        ({"bits": 32}, "size 4194304 cannot be FAT32, which has 65541 to 268435428 clusters"),
        ({"size": 1 << 34, "bits": 16}, "size 17179869184 cannot be FAT16"),
        ({"sector_size": 256}, "sector size 256 is not one of 512, 1024, 2048, 4096"),
        ({"cluster_size": 3000}, "cluster size 3000 is not one of 512, 1024, "),
        ({"cluster_size": 65536}, "cluster size 65536 is not one of"),
        ({"cluster_size": 512, "sector_size": 1024}, "cluster size 512 is not one of 1024, "),
        ({"label": "esp"}, "label 'esp' is not one of"),
        ({"volume_id": 1 << 32}, "volume ID 0x100000000 is not a number of 32 bits"),
        ({"volume_id": -1}, "volume ID -0x1 is not"),
    ],
)
def test_options_that_are_not_possible(options, message):
    with pytest.raises(UserError, match=message):
        image_of(tree({"a": b"x"}), **options)


def test_no_size_is_enough():
    root = tree({"a": File(content=Image(3 << 30))})
    with pytest.raises(UserError, match=r"no FAT16 file system has room for the tree's 3221225536 bytes"):
        image_of(root, 5 * MIB, bits=16)


# No characters above U+FFFF and no names of more than 255 bytes in UTF-8: mtools cannot extract them.
NAMES = st.one_of(
    st.text(st.sampled_from("abAB01.~ -+[é日ß"), min_size=1, max_size=16),
    st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF, exclude_categories=["C"]), min_size=1, max_size=80),
    st.sampled_from(["BOOTX64.EFI", "x" * 255, "y" * 254, "é" * 127, "z" * 13, "z" * 26, "conf~1.txt"]),
).filter(lambda name: len(name.encode()) <= 255)


@st.composite
def trees(draw, cluster=512):
    root = tree()
    directories = [root]
    illegal = re.compile('["*/:<>?\\\\|\ufffe\uffff]')
    for _ in range(draw(st.integers(0, 25))):
        parent = draw(st.sampled_from(directories))
        name = illegal.sub("_", draw(NAMES)).rstrip(". ")
        if not name or folded(name) in {folded(other.decode()) for other in parent.entries}:
            continue
        mtime_ns = draw(st.integers(315532800, 4354819198)) * 10**9
        if draw(st.booleans()):
            node = Directory(mtime_ns=mtime_ns)
            directories.append(node)
        else:
            near = draw(st.sampled_from([0, 1, 2, 3, 40])) * cluster + draw(st.sampled_from([-1, 0, 1]))
            content = Image.from_bytes(draw(st.binary(min_size=1, max_size=4)) * max(near, 0))
            node = File(content=content, mtime_ns=mtime_ns)
        parent.entries[name.encode()] = node
    return root


@given(trees(), st.sampled_from([(MIB, {}), (5 * MIB, {"bits": 16}), (40 * MIB, {"bits": 32, "label": "X"})]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_tree(tmp_path_factory, root, how):
    size, options = how
    try:
        image = image_of(root, size, **options)
    except CapacityError as error:
        image = image_of(root, error.size, **options)
    assert_valid(root, image, tmp_path_factory.mktemp("fat"))
    for (_, ours), (_, read) in zip(walk(root), walk(read_fat(image).root), strict=True):
        if ours is not root:
            assert ours.mtime_ns // (2 * 10**9) == read.mtime_ns // (2 * 10**9)
