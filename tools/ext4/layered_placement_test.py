"""Tests that a change of a file changes few blocks of a file system besides its own."""

import random
from dataclasses import replace

import pytest

from tools.ext4.layered_placement import place_layers
from tools.ext4.reader import read_ext4
from tools.ext4.writer import write_ext4
from tools.image.compare import differing_blocks
from tools.image.extents import Data, Extent, FileRange, Image, InputFile
from tools.image.holes import joined
from tools.testing.ext4_images import GIB, MIB, assert_holds, file, fsck, minimum_size, options
from tools.tree.layer import Layer
from tools.tree.merge import merge
from tools.tree.node import Directory, File, Symlink, walk
from tools.tree.paths import components

BASE_FILES = 4000
OVERLAY_FILES = 200
BINARY = "opt/bin/server"
BLOCK = 4096
LABEL = {b"security.selinux": b"system_u:object_r:usr_t:s0\0"}


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    path = tmp_path_factory.mktemp("noise") / "noise"
    path.write_bytes(random.Random(1).randbytes(64 * MIB))
    return InputFile(path)


def part(noise, size, start=0):
    return Image(size, [Extent(0, size, FileRange(noise, start))])


def base(noise, *, sizes=1.0):
    """Returns the tree of a distribution; `sizes` is a factor of the sizes of its files."""
    chance = random.Random(2)
    layer = Layer.empty("base")
    for number in range(BASE_FILES):
        size = int(2 ** chance.uniform(0, 15) * sizes)
        path = f"usr/d{number % 150}/f{number}" if number % 20 else f"etc/f{number}"
        layer.add(components(path), File(content=part(noise, size, number * 999)))
        if number % 25 == 0:
            layer.add(components(f"usr/link{number}"), Symlink(target=b"t" * chance.randrange(1, 100)))
    return layer


def declared(noise):
    """Returns the files of an overlay by their paths: small ones, a binary, and some that replace files of the base."""
    chance = random.Random(3)
    files = {f"etc/own{number % 7}/{number}.conf": chance.randrange(1, 20000) for number in range(OVERLAY_FILES)}
    files |= {f"etc/f{number}": 3000 for number in range(0, 800, 100)}
    files |= {f"opt/bin/tool{number}": number * 300_000 for number in range(1, 9)}
    files[BINARY] = 30 * MIB
    return {path: part(noise, size, index * 1001) for index, (path, size) in enumerate(files.items())}


def tree_of(below, files):
    below.overlay.clear()
    layer = Layer.empty("overlay")
    for path, content in files.items():
        layer.add(components(path), File(content=content, xattrs=LABEL))
    merge(below, layer, overrides=["/**"])
    return below


def written(noise, files, size=2 * GIB, **parameters):
    tree = tree_of(base(noise), files)
    return write_ext4(tree.root, options(size, **parameters), tree.overlay)


@pytest.fixture(scope="module")
def files(noise):
    return declared(noise)


@pytest.fixture(scope="module")
def image(noise, files):
    return written(noise, files)


def changed(noise, image, files):
    return len(differing_blocks(image, written(noise, files)))


def test_content_and_structure(noise, files, image, tmp_path):
    # e2fsck doesn't read file contents, so they need not be copied.
    made = [extent for extent in image.extents if not isinstance(extent.source, FileRange)]
    fsck(Image(image.size, made), tmp_path / "image")
    expected = {path: node for path, node in walk(tree_of(base(noise), files).root) if isinstance(node, File)}
    found = {path: node for path, node in walk(read_ext4(image).root) if isinstance(node, File)}
    assert {path: node.content.size for path, node in found.items()} == {
        path: node.content.size for path, node in expected.items()
    }
    for path, node in found.items():
        assert tuple(joined(node.content.extents)) == expected[path].content.extents, path


def test_same_bytes_for_the_same_inputs(noise, files, image):
    again = written(noise, dict(sorted(files.items(), reverse=True)))
    assert not differing_blocks(image, again)


def test_no_larger_than_without_places_of_their_own(noise, files, image):
    tree = tree_of(base(noise), files)
    compact = write_ext4(tree.root, options(2 * GIB))
    assert image.data_size < 1.01 * compact.data_size


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 20000, 100_000])
@pytest.mark.parametrize("path", ["etc/own3/10.conf", "etc/own6/13.conf", "etc/f300"])
def test_changed_configuration_file(noise, files, image, path, size):
    assert changed(noise, image, files | {path: part(noise, size, 5 * MIB)}) <= 40 + size // BLOCK


@pytest.mark.parametrize(
    "path",
    ["etc/new.conf", "etc/f17", "etc/f60", "usr/d7/new", "usr/new/folder/new", "opt/bin/new", "etc/own1/zzz.conf"],
)
def test_added_file(noise, files, image, path):
    assert changed(noise, image, files | {path: part(noise, 9000, 6 * MIB)}) <= 60


def test_removed_file(noise, files, image):
    left = {path: content for path, content in files.items() if path != "etc/own3/10.conf"}
    assert changed(noise, image, left) <= 40


@pytest.mark.parametrize("size", [30 * MIB, 20 * MIB, 31 * MIB, 33 * MIB])
def test_replaced_binary(noise, files, image, size):
    most = max(size, files[BINARY].size) // BLOCK + 100
    assert changed(noise, image, files | {BINARY: part(noise, size, 20 * MIB)}) <= most


def test_overlay_keeps_its_places_when_the_base_grows_a_little(noise, files):
    tree = tree_of(base(noise, sizes=1.01), files)
    other = write_ext4(tree.root, options(2 * GIB), tree.overlay)
    assert places(other, files) == places(written(noise, files), files)


def places(image, files):
    """Returns where the data of files is: its offsets by its sources."""
    starts = {content.extents[0].source.start: path for path, content in files.items()}
    wanted = {(content.extents[0].source.start, content.size) for content in files.values()}
    return {
        starts[extent.source.start]: extent.offset
        for extent in image.extents
        if isinstance(extent.source, FileRange) and (extent.source.start, extent.length) in wanted
    }


@pytest.mark.parametrize(
    "parameters", [{"metadata_csum": True, "journal": True}, {"block_size": 1024, "inode_size": 128}]
)
def test_other_parameters(noise, files, tmp_path, parameters):
    image = written(noise, files, **parameters)
    made = [extent for extent in image.extents if not isinstance(extent.source, FileRange)]
    fsck(Image(image.size, made), tmp_path / "image")
    other = written(noise, files | {"etc/own3/10.conf": part(noise, 9000, 7 * MIB)}, **parameters)
    assert len(differing_blocks(image, other, parameters.get("block_size", BLOCK))) <= 100


def test_directory_that_outgrows_its_blocks_of_the_base(tmp_path):
    def tree(more):
        layer = Layer.empty("base")
        for number in range(20):
            layer.add(components(f"etc/{number:04}"), file(b"x" * 5000))
        return tree_of(layer, {f"etc/{'n' * 200}-{number}": Image.from_bytes(b"own") for number in range(more)})

    few, many = (tree(more) for more in (10, 200))
    images = [write_ext4(each.root, options(64 * MIB), each.overlay) for each in (few, many)]
    for image, each in zip(images, (few, many), strict=True):
        fsck(image, tmp_path / "image")
        assert_holds(image, each.root)
    where = [{bytes(e.source.read(0, e.length)): e.offset for e in i.extents if e.length == 5000} for i in images]
    assert where[0] == where[1]


def test_without_room_everything_is_in_one_order(noise):
    small = {path: content for path, content in declared(noise).items() if content.size < 20000}
    tree = tree_of(base(noise), small)
    size = minimum_size(tree.root, options(0))
    compact = write_ext4(tree.root, options(size))
    assert not differing_blocks(write_ext4(tree.root, options(size), tree.overlay), compact)


def test_overlay_of_which_nothing_is_left():
    """A file of the overlay that is removed from the tree later leaves the file system of the base."""
    layer = Layer.empty("base")
    layer.add((b"file",), file(b"content"))
    tree = tree_of(layer, {"other": Image.from_bytes(b"x")})
    del tree.root.entries[b"other"]
    image = write_ext4(tree.root, options(8 * MIB), tree.overlay)
    assert_holds(image, tree.root)
    assert not differing_blocks(image, write_ext4(tree.root, options(8 * MIB)))


def test_file_of_many_extents(tmp_path):
    pieces = [Extent(number * 3 * BLOCK, 5000, Data(b"%04d" % number + b"x" * 4996)) for number in range(1000)]
    tree = tree_of(Layer.empty("base"), {"sparse": Image(12 * MIB, pieces)})
    image = write_ext4(tree.root, options(600 * MIB, metadata_csum=True), tree.overlay)
    assert_holds(image, tree.root)
    fsck(image, tmp_path / "image")


def test_slots_end_before_the_file_system_does(monkeypatch):
    """A file that needs nearly all of the room makes the file system fall back to one order, instead of an error."""
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return place_layers(*arguments)

    monkeypatch.setattr("tools.ext4.fit.place_layers", counted)
    tree = tree_of(Layer.empty("base"), {"large": Image.from_bytes(b"x" * (40 * MIB))})
    for size in range(41, 140, 9):
        assert_holds(write_ext4(tree.root, options(size * MIB), tree.overlay), tree.root)
    assert calls


def test_replaced_nodes_leave_numbers_and_blocks_of_the_base(tmp_path):
    def tree():
        layer = Layer.empty("base")
        linked = file(b"linked")
        folder = Directory(entries={b"a": file(b"a" * 9000), b"b": Symlink(target=b"t" * 80)})
        layer.root.entries |= {b"folder": folder, b"one": linked, b"two": linked, b"zero": file(b"z" * 5000)}
        layer.root.entries |= {b"last": file(b"last" * 5000)}
        return layer

    def image_of(files):
        layer = tree_of(tree(), files)
        image = write_ext4(layer.root, options(64 * MIB), layer.overlay)
        fsck(image, tmp_path / "image")
        assert_holds(image, layer.root)
        return image

    new = Image.from_bytes(b"new" * 3000)
    plain = tree()
    expected = offset_of(write_ext4(plain.root, options(64 * MIB)), b"z" * 5000)
    for path in ("folder", "one", "two", "folder/a", "last"):
        assert offset_of(image_of({path: new}), b"z" * 5000) == expected, path
    assert offset_of(image_of({"one": new, "two": replace_content(new)}), b"z" * 5000) == expected


def replace_content(content):
    return replace(file(b"other"), content=content).content


def offset_of(image, data):
    return next(e.offset for e in image.extents if e.length == len(data) and bytes(e.source.read(0, e.length)) == data)
