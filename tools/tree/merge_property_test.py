"""Merging, judged by GNU tar: layers unpacked over each other give the same tree."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tools.image.extents import Image
from tools.testing.folders import read_folder
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.testing.trees import trees
from tools.tree.compare import differences
from tools.tree.layer import Layer
from tools.tree.merge import Directories, merge
from tools.tree.node import Directory, File, Symlink
from tools.tree.paths import components
from tools.tree.tar_reader import read_archive
from tools.tree.tar_writer import tar_image

LINKS = {"lib": b"usr/lib", "usr/lib64": b"lib", "up": b"usr/../usr/./lib", "var/run": b"../run"}
FOLDERS = ["usr/lib", "run", "var", "etc"]
PATHS = [
    "lib/a",
    "lib/d/a",
    "usr/lib/a",
    "usr/lib64/d/b",
    "up/d/b",
    "up/c",
    "var/run/x/y",
    "run/x/z",
    "etc/h",
    "etc/d/h",
    "h",
]


def layer(files, folders):
    result = Layer.empty("layer")
    result.add((), Directory())
    for path, (mode, text) in files.items():
        result.add(components(path), File(permissions=mode, content=Image.from_bytes(text)))
    for path, mode in folders.items():
        result.add(components(path), Directory(permissions=mode))
    return result


FILES = st.dictionaries(
    st.sampled_from(PATHS), st.tuples(st.sampled_from([0o600, 0o644, 0o755]), st.sampled_from([b"1", b"2"]))
)
SUBFOLDERS = st.dictionaries(
    st.sampled_from(["lib/d", "usr/lib/d", "up/e", "var/run/x", "etc/d", "lib"]), st.sampled_from([0o700, 0o755])
)
LAYERS = st.lists(st.tuples(FILES, SUBFOLDERS), min_size=1, max_size=3)


def base():
    result = layer({}, dict.fromkeys(FOLDERS, 0o755))
    for path, target in LINKS.items():
        result.add(components(path), Symlink(target=target))
    return result


@settings(deadline=None, derandomize=True, max_examples=60)
@given(LAYERS)
def test_unpacking_over_each_other_gives_the_same_tree(layers):
    tree = Layer.empty("tree")
    with tempfile.TemporaryDirectory() as name:
        out = Path(name, "out")
        out.mkdir()
        for number, one in enumerate([base(), *(layer(*content) for content in layers)]):
            archive = write_raw(tar_image(one.root), Path(name, f"{number}.tar"))
            ask("tar", "--no-same-owner", "--keep-directory-symlink", "-pxf", archive, "-C", out)
            merge(tree, read_archive(archive), ["/**"], Directories.REPLACE)
        assert list(map(str, differences(tree.root, read_folder(out), ["uid", "gid", "xattrs", "mtime"]))) == []


@settings(deadline=None, derandomize=True, max_examples=60)
@given(trees(sockets=False, most=100), st.data())
def test_a_tree_in_parts_is_the_tree(tree, data):
    """Each directory's entries go to one of two layers; hard links stay in one."""
    parts = [Layer.empty("first"), Layer.empty("second")]
    homes: dict[object, int] = {}
    stack = [((), tree)]
    while stack:
        path, directory = stack.pop()
        for part in parts:
            part.add(path, Directory(**{name: getattr(directory, name) for name in COMMON}))
        for name, node in directory.sorted_entries():
            if isinstance(node, Directory):
                stack.append(((*path, name), node))
            else:
                home = homes.setdefault(node, data.draw(st.integers(0, 1)))
                parts[home].add((*path, name), node)
    merged = Layer.empty("tree")
    for part in parts:
        merge(merged, part)
    assert list(map(str, differences(tree, merged.root))) == []


COMMON = ("permissions", "uid", "gid", "mtime_ns", "xattrs")
