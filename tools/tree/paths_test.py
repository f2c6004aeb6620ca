import pytest

from tools.core.errors import UserError
from tools.testing.small_trees import layer, listing
from tools.tree.node import Directory
from tools.tree.paths import components, directory_at, lookup


@pytest.fixture
def root():
    return layer(
        "test",
        "lib -> usr/lib",
        "lib64 -> /usr/lib64",
        "usr/lib64 -> lib",
        "usr/lib/x = data",
        "up -> usr/lib/../../../../usr/./lib//",
        "loop -> pool",
        "pool -> loop",
        "new -> opt/made",
    ).root


def find(root, path, **options):
    return lookup(root, components(path), **options)


@pytest.mark.parametrize("path", ["usr/lib/x", "/lib/x", "lib64/x", "up/x", "./usr//lib/./x", b"/usr/lib/x"])
def test_all_ways_lead_to_the_same_file(root, path):
    assert find(root, path) is find(root, "usr/lib/x")


def test_the_last_link_is_followed_on_demand(root):
    assert find(root, "lib64").target == b"/usr/lib64"
    assert find(root, "lib64", follow=True) is find(root, "usr/lib")
    assert find(root, "/") is root
    assert find(root, "/", follow=True) is root


@pytest.mark.parametrize("path", ["nothing", "usr/nothing/x", "new/x", "new/x/y"])
def test_missing_is_none(root, path):
    assert find(root, path) is None
    assert find(root, path, follow=True) is None
    with pytest.raises(UserError, match="does not exist"):
        directory_at(root, components(path))


def test_directories_are_made_where_links_lead(root):
    made = directory_at(root, components("new/deep"), Directory)
    assert find(root, "opt/made/deep") is made
    assert "opt/made/deep/" in listing(root)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("loop/x", "/loop/x: leads through more than 40 symbolic links"),
        ("usr/lib/x/y", "/usr/lib/x/y: its component x is a file"),
        ("lib/x", "/lib/x: is a file, not a directory"),
    ],
)
def test_ways_that_lead_nowhere(root, path, message):
    with pytest.raises(UserError, match=message):
        directory_at(root, components(path))


def test_links_of_a_long_chain():
    root = layer("test", "d/", *(f"l{index} -> l{index + 1}" for index in range(39)), "l39 -> d").root
    assert directory_at(root, [b"l0"]) is root.entries[b"d"]
    root = layer("test", "d/", *(f"l{index} -> l{index + 1}" for index in range(40)), "l40 -> d").root
    with pytest.raises(UserError, match="more than 40"):
        directory_at(root, [b"l0"])


@pytest.mark.parametrize("path", ["a/../b", "..", "x" * 256, "a\0b"])
def test_bad_paths_are_refused(path):
    with pytest.raises(UserError):
        components(path)
