import pytest

from tools.core.errors import UserError
from tools.testing.small_trees import layer, listing
from tools.tree.select import select, strip


def sample():
    return layer(
        "test",
        "lib -> usr/lib",
        "run/",
        "usr/lib/.hidden = h",
        "usr/lib/a/__pycache__/x.pyc = x",
        "usr/lib/a/x.py = x",
        "usr/lib/b/__pycache__/y.pyc = y",
        "usr/share/doc/a/b = c",
        "usr/share/man/[1] = d",
    ).root


def after(*patterns):
    root = sample()
    strip(root, patterns)
    return [line for line in listing(root) if not line.endswith("/")]


FILES = [line for line in listing(sample()) if not line.endswith("/")]


@pytest.mark.parametrize(
    ("pattern", "gone"),
    [
        ("/usr/share/doc", ["usr/share/doc/a/b = c"]),
        ("usr/share/doc/*", ["usr/share/doc/a/b = c"]),
        ("/run/*", []),
        ("/lib/a/x.py", ["usr/lib/a/x.py = x"]),
        ("/lib", ["lib -> usr/lib"]),
        ("/lib/**/__pycache__", ["usr/lib/a/__pycache__/x.pyc = x", "usr/lib/b/__pycache__/y.pyc = y"]),
        ("/usr/**/?.py", ["usr/lib/a/x.py = x"]),
        ("/**/b", ["usr/lib/b/__pycache__/y.pyc = y", "usr/share/doc/a/b = c"]),
        ("/usr/lib/*", [line for line in FILES if line.startswith("usr/lib/")]),
        ("/usr/lib/**", [line for line in FILES if line.startswith("usr/lib/")]),
        ("/usr/share/man/[[]1]", ["usr/share/man/[1] = d"]),
        ("/*", FILES),
        ("**/**/**/doc/**/b", ["usr/share/doc/a/b = c"]),
    ],
)
def test_strips_what_a_pattern_chooses(pattern, gone):
    assert after(pattern) == [line for line in FILES if line not in gone]


def test_contents_or_the_directory_too():
    root = sample()
    strip(root, ["/usr/share/doc/*", "/usr/share/man"])
    assert [line for line in listing(root) if line.startswith("usr/share")] == ["usr/share/", "usr/share/doc/"]


def test_chooses_in_order_and_each_place_once():
    names = [name for _, name in select(sample(), "/usr/lib/**")]
    assert names == [b".hidden", b"a", b"b", b"__pycache__", b"x.py", b"x.pyc", b"__pycache__", b"y.pyc"]


@pytest.mark.parametrize("pattern", ["/missing", "/usr/missing/x", "/missing/*", "/", "../x", "/usr/lib/.hidden/x"])
def test_what_is_not_there_is_an_error(pattern):
    root = sample()
    with pytest.raises(UserError):
        strip(root, ["/usr/share", pattern])
    assert listing(root) == listing(sample())


def test_deep_trees():
    root = layer("test", "d/" * 1500 + "x = x").root
    assert len(select(root, "/**/x")) == 1
