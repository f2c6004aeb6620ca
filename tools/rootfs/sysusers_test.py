import pytest

from tools.core.errors import UserError
from tools.rootfs.sysusers import User, parse_sysusers


def test_reads_users_groups_and_members():
    accounts = parse_sysusers(
        """\
# a comment
u admin 601 "Those who may" /var/lib/admin /bin/bash

u! replica 611:data
g data 70
g own 601
m admin data
""",
        "x.conf",
    )
    assert accounts.users == {
        "admin": User("admin", 601, "admin", "Those who may", "/var/lib/admin", "/bin/bash"),
        "replica": User("replica", 611, "data", "", "", ""),
    }
    assert accounts.groups == {"admin": 601, "data": 70, "own": 601}
    assert accounts.members == (("admin", "data"),)


def test_a_dash_is_nothing():
    assert parse_sysusers("u a 1 - - -", "x").users["a"] == User("a", 1, "a", "", "", "")


def test_reads_what_distributions_write():
    accounts = parse_sysusers('g adm 4 -\ng ftp 11 - - -\nm adm adm -\nu Debian-exim 101 "100%% Exim"\n', "x")
    assert accounts.groups == {"adm": 4, "ftp": 11, "Debian-exim": 101}
    assert accounts.users["Debian-exim"].description == "100% Exim"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("u admin -", "'' is not a numeric user or group ID, which is required"),
        ("u admin /etc/passwd", "is not a numeric user or group ID"),
        ("u admin 4294967295", "is not a numeric user or group ID"),
        (f"u admin {'1' * 5000}", "is not a numeric user or group ID"),
        ("u admin 65535", "is not a numeric user or group ID"),
        ("u ädmin 5", "is not a name"),
        ("u a 5 %H", "has a specifier, whose value the build doesn't know; write %% for a percent sign"),
        ("g a 5 text", "a line of type g has no description, home or shell; write - or nothing"),
        ("u a:b 5", "is not a name"),
        ("u a", "2 fields instead of 3 to 6"),
        ("u a 5 b c d e", "7 fields"),
        ("g a", "2 fields instead of 3 to 6"),
        ('u a 5 "with: colon"', "cannot have a colon"),
        ("r - 500-900", "lines of type 'r' are not supported"),
        ('u a 5 "open', "No closing quotation"),
        ("g a 5\ng a 6", "a occurs twice with different values"),
        ("u a 5\nu a 6", "a occurs twice with different values"),
    ],
)
def test_a_wrong_line_is_named(line, message):
    number = line.count("\n") + 2
    with pytest.raises(UserError, match=f"x.conf:{number}: .*{message}"):
        parse_sysusers(f"# first\n{line}", "x.conf")
