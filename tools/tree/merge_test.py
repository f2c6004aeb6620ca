import pytest

from tools.core.errors import UserError
from tools.testing.small_trees import layer, listing
from tools.tree.layer import Layer, placed_under
from tools.tree.merge import Directories, merge
from tools.tree.node import Directory
from tools.tree.paths import components, lookup


def merged(*layers, **options):
    tree = Layer.empty("tree")
    for one in layers[:-1]:
        merge(tree, one)
    merge(tree, layers[-1], **options)
    return tree


def result(*layers, **options):
    return listing(merged(*layers, **options).root)


BASE = ("lib -> usr/lib", "usr/lib/", "etc/hosts = base", "tmp/ 1777", "bin -> /usr/bin")


def base():
    return layer("base", *BASE)


def test_layers_add_up():
    assert result(layer("a", "x/1 = 1"), layer("b", "x/2 = 2", "y -> x")) == ["x/", "x/1 = 1", "x/2 = 2", "y -> x"]


@pytest.mark.parametrize("lines", [["lib/", "lib/x = x"], ["lib/x = x"], ["usr/lib/x = x"], ["lib/x = x", "usr/lib/"]])
def test_directories_go_where_links_lead(lines):
    assert result(base(), layer("package", *lines)) == sorted(
        [*BASE[:1], "usr/", "usr/lib/", "usr/lib/x = x", "etc/", "etc/hosts = base", "tmp/ 1777", "bin -> /usr/bin"]
    )


def test_links_to_directories_that_come_later():
    lines = result(layer("base", "lib -> usr/lib"), layer("package", "lib/x/y = 1", "usr/lib/x/z = 2"))
    assert lines == ["lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/x/", "usr/lib/x/y = 1", "usr/lib/x/z = 2"]


def test_the_same_twice_is_no_conflict():
    assert result(base(), base()) == result(base())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("etc/hosts = other", r"/etc/hosts: is given by base and overlay, with different size \(4 / 5\)"),
        ("etc/hosts = bass", r"/etc/hosts: .* content \(byte 3 is 0x65 / byte 3 is 0x73\)"),
        ("etc/hosts/", r"/etc/hosts: .* type \(file / directory\)"),
        ("etc/hosts/x = x", r"/etc/hosts: .* type \(file / directory\)"),
        ("etc/hosts -> x", r"/etc/hosts: .* type \(file / symbolic link\)"),
        ("lib -> lib64", r"/lib: .* target \(usr/lib / lib64\)"),
        ("lib = x", r"/lib: .* type \(symbolic link / file\)"),
        ("usr -> x", r"/usr: .* type \(directory / symbolic link\)"),
        ("tmp/", r"/tmp: .* permissions \(1777 / 0755\)"),
    ],
)
def test_conflicts_name_both(line, message):
    with pytest.raises(UserError, match=message + r".* or put it into the latter's overrides: overrides = \[.*\]$"):
        merged(base(), layer("overlay", line))


def test_link_to_no_directory_is_a_conflict():
    with pytest.raises(UserError, match=r"/etc/x: is given by base and overlay, with different type"):
        merged(layer("base", "etc/x -> hosts", "etc/hosts = 1"), layer("overlay", "etc/x/y = 1"))
    with pytest.raises(UserError, match=r"/etc/x: is given by base and overlay, with different type"):
        merged(layer("base", "etc/x -> x"), layer("overlay", "etc/x/y = 1"))


@pytest.mark.parametrize("override", ["/etc/hosts", "etc/*", "/**", "/etc"])
@pytest.mark.parametrize("line", ["etc/hosts = other", "etc/hosts/x = x", "etc/hosts -> x"])
def test_overrides_replace(line, override):
    lines = result(base(), layer("overlay", line), overrides=[override])
    assert line in lines
    assert "etc/hosts = base" not in lines


def test_overrides_do_not_reach_further():
    with pytest.raises(UserError, match="/tmp"):
        merged(base(), layer("overlay", "etc/hosts = other", "tmp/"), overrides=["/etc/hosts"])


def test_overrides_that_choose_nothing_are_errors():
    with pytest.raises(UserError, match="overlay: overrides: /etc/host: does not exist"):
        merged(base(), layer("overlay", "etc/hosts = other"), overrides=["/etc/host"])


def test_override_keeps_what_else_is_in_a_directory():
    lines = result(layer("base", "d/a = 1", "d/b = 1"), layer("overlay", "d/ 700", "d/a = 2"), overrides=["/d"])
    assert lines == ["d/ 700", "d/a = 2", "d/b = 1"]


def test_directories_can_be_kept_or_replaced():
    overlay = ("tmp/", "tmp/x = x")
    assert "tmp/ 1777" in result(base(), layer("overlay", *overlay), directories=Directories.KEEP)
    assert "tmp/" in result(base(), layer("overlay", *overlay), directories=Directories.REPLACE)
    with pytest.raises(UserError, match="/tmp"):
        merged(base(), layer("overlay", *overlay))


def test_implied_directories_take_any_metadata():
    tree = merged(layer("a", "tmp/x = x"), layer("b", "tmp/ 1777"), layer("c", "tmp/y = y"))
    assert listing(tree.root) == ["tmp/ 1777", "tmp/x = x", "tmp/y = y"]
    assert tree.root.entries[b"tmp"].origin == "b"
    with pytest.raises(UserError, match="/tmp: is given by b and d"):
        merge(tree, layer("d", "tmp/"))


def test_the_root_is_a_directory_like_others():
    tree = merged(layer("a", "x = x"), layer("b", "/ 700"))
    assert tree.root.permissions == 0o700
    with pytest.raises(UserError, match="/: is given by b and c"):
        merge(tree, layer("c", "/"))


def test_times_are_no_conflict_and_the_later_layer_has_the_last_word():
    one, two = layer("a", "f = x", "d/"), layer("b", "f = x", "d/")
    for number, each in enumerate((one, two)):
        for node in each.root.entries.values():
            node.mtime_ns = number
    tree = merged(one, two)
    assert [node.mtime_ns for node in tree.root.entries.values()] == [1, 1]


def test_hard_links_of_a_layer_stay_together():
    overlay = layer("overlay", "a = 1")
    overlay.add(components("etc/a"), overlay.root.entries[b"a"])
    tree = merged(base(), overlay)
    assert lookup(tree.root, [b"a"]) is lookup(tree.root, [b"etc", b"a"])


def test_layers_can_be_placed():
    assert result(base(), placed_under(layer("x", "a/ 700", "b = 1"), components("lib/y")))[-4:] == [
        "usr/lib/",
        "usr/lib/y/",
        "usr/lib/y/a/ 700",
        "usr/lib/y/b = 1",
    ]
    one = layer("x", "a = 1")
    assert placed_under(one, ()) is one


def test_deep_trees():
    deep = "d/" * 1500
    assert len(result(layer("a", deep), layer("b", deep + "x = 1"))) == 1501


def test_layers_refuse_the_same_path_twice():
    with pytest.raises(UserError, match="/x: is given by a, twice, with different type"):
        layer("a", "x = 1", "x/")
    with pytest.raises(UserError, match="/d: is given by a, twice, with different permissions"):
        layer("a", "d/ 700", "d/")
    one = layer("a", "x = 1", "x = 1", "d/e = 1", "d/ 700", "d/ 700", "l -> d", "l/f = 2", "l/ 700")
    assert listing(one.root) == ["d/ 700", "d/e = 1", "d/f = 2", "l -> d", "x = 1"]


def test_layers_follow_their_own_links():
    assert listing(layer("a", "l -> d", "l/", "l/x = 1", "k -> e", "k/y = 1").root) == [
        "d/",
        "d/x = 1",
        "e/",
        "e/y = 1",
        "k -> e",
        "l -> d",
    ]
    with pytest.raises(UserError, match="/l: is given by a, twice, with different type"):
        layer("a", "l -> l", "l/")


def test_the_root_must_be_a_directory():
    with pytest.raises(UserError, match="/: must be a directory, not a file"):
        layer("a").add((), next(iter(layer("b", "x = 1").root.entries.values())))
    assert isinstance(layer("a").root, Directory)


def test_overlay_has_what_is_not_from_the_base():
    tree = base()
    root, etc = tree.root, tree.directory([b"etc"])
    hosts = etc.entries[b"hosts"]
    merge(tree, layer("one", "etc/hosts = other", "new/folder/x = x"), ["/etc/*"])
    merge(tree, layer("two", "etc/hosts = third", "etc/y = y", "new/y = y"), ["/etc/*"])
    assert tree.overlay.pop(root) == {b"new": None}
    assert tree.overlay.pop(etc) == {b"hosts": hosts, b"y": None}
    assert list(tree.overlay) == [tree.directory([b"new"])]


def test_directories_that_a_link_demands_are_not_from_the_base():
    tree = layer("base", "lib -> usr/lib")
    merge(tree, layer("overlay", "lib/x = x"))
    assert tree.overlay[tree.root] == {b"usr": None}
