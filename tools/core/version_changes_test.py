from tools.core.version_changes import version_changes


def changes(old, new):
    return list(version_changes(old, new, lambda one, other: int(one) - int(other)))


def test_each_change_is_a_line():
    old = {"same": "1", "gone": "2", "up": "9", "down": "3"}
    new = {"same": "1", "up": "10", "down": "2", "new": "5", "also": "6"}
    assert changes(old, new) == [
        "added: also 6",
        "downgraded: down 3 -> 2",
        "removed: gone 2",
        "added: new 5",
        "upgraded: up 9 -> 10",
        "2 added, 1 removed, 1 upgraded, 1 downgraded",
    ]


def test_a_version_is_no_command_for_the_terminal():
    assert changes({}, {"a": "1\x1b[2J\n2"}) == [r"added: a 1\x1b[2J\n2", "1 added"]


def test_no_change():
    assert changes({"a": "1"}, {"a": "1"}) == ["no package has changed"]
    assert changes({}, {}) == ["no package has changed"]
