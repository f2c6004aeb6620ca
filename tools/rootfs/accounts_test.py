import subprocess

import pytest

from tools.core.errors import UserError
from tools.rootfs.accounts import LOCKED, Databases, merge
from tools.rootfs.sysusers import parse_sysusers
from tools.testing.oracles import oracle

BEFORE = Databases(
    passwd="root:x:0:0:root:/root:/bin/bash\nbackup:x:34:34:backup:/var/backups:/usr/sbin/nologin\n",
    group="root:x:0:\nbackup:x:34:\ndisk:x:6:root\n",
    shadow="root:*:19000:0:99999:7:::\n",
    gshadow="root:*::\ndisk:*::root\n",
)


def merged(text, passwords=None):
    return merge(BEFORE, parse_sysusers(text, "x.conf"), passwords or {}, "x.conf")


def test_new_accounts_come_after_those_that_are_there():
    after = merged('u admin 601 "Admins" /var/lib/admin /bin/bash\ng data 70\nm admin data\nm admin disk\n')
    assert after.passwd == BEFORE.passwd + "admin:x:601:601:Admins:/var/lib/admin:/bin/bash\n"
    assert after.group == "root:x:0:\nbackup:x:34:\ndisk:x:6:root,admin\nadmin:x:601:\ndata:x:70:admin\n"
    assert after.gshadow == "root:*::\ndisk:*::root,admin\nbackup:!*::\nadmin:!*::\ndata:!*::admin\n"
    assert after.shadow == BEFORE.shadow + "backup:!*:::::::\nadmin:!*:::::::\n"


def test_an_account_that_is_there_gets_what_is_asked_for():
    after = merged("u backup 34 Backup /var/lib/backup /bin/bash")
    assert after.passwd.splitlines()[1] == "backup:x:34:34:Backup:/var/lib/backup:/bin/bash"
    assert len(after.passwd.splitlines()) == 2


@pytest.mark.parametrize("line", ['u root 0 "Super User" /root', "u root 0", "u backup 34 - /a /b", "u backup 34:6"])
def test_an_account_that_is_there_stays(line):
    assert merged(line).passwd == BEFORE.passwd


def test_what_a_line_does_not_give_has_the_defaults_of_systemd():
    text = 'u root 0 "Super User" /root\nu a 500\nu b 501:a "B, with 100%%" - /bin/sh\ng c 502 - -\nu Dd 502:502\n'
    after = merge(Databases("", "", "", ""), parse_sysusers(text, "x"), {}, "x")
    # as systemd-sysusers 252 writes them into an empty root
    assert after.passwd.splitlines() == [
        "root:x:0:0:Super User:/root:/bin/sh",
        "a:x:500:500::/:/usr/sbin/nologin",
        "b:x:501:500:B, with 100%:/:/bin/sh",
        "Dd:x:502:502::/:/usr/sbin/nologin",
    ]
    assert sorted(after.group.splitlines()) == ["a:x:500:", "c:x:502:", "root:x:0:"]


def test_passwords_are_set_for_any_account():
    after = merged("u admin 601", {"root": "$6$x", "admin": LOCKED})
    assert after.shadow == "root:$6$x:19000:0:99999:7:::\nbackup:!*:::::::\nadmin:!*:::::::\n"


def test_passwords_count_without_the_package_passwd():
    """Its maintainer script moves passwords to shadow; base-passwd has accounts that no password opens."""
    passwd = "root:*:0:0:root:/root:/bin/bash\nbin:*:2:2:bin:/bin:/usr/sbin/nologin\n"
    after = merge(Databases(passwd, "", "", ""), parse_sysusers("", "x"), {"root": "$6$x"}, "x")
    assert after.passwd == passwd.replace("root:*:", "root:x:")
    assert after.shadow == "root:$6$x:::::::\nbin:!*:::::::\n"


def test_nothing_asked_for_locks_what_had_no_password():
    assert merged("").shadow == BEFORE.shadow + "backup:!*:::::::\n"


def test_members_are_there_once():
    assert merged("m root disk\nm root disk").group == BEFORE.group


@pytest.mark.parametrize(
    ("text", "passwords", "message"),
    [
        ("u backup 35", {}, "x.conf: backup is 34 in /etc/group and cannot be 35"),
        ("u admin 34:root", {}, "x.conf: backup is 34 in /etc/passwd; admin needs another number"),
        ("g data 6", {}, "x.conf: disk is 6 in /etc/group; data needs another number"),
        ("u admin 601:nothing", {}, "x.conf: group nothing does not exist"),
        ("u admin 601:4711", {}, "x.conf: there is no group 4711; add it with a line 'g NAME 4711'"),
        (f"u admin 601:{'9' * 5000}", {}, "x.conf: group 9+ does not exist"),
        ("m root nothing", {}, "x.conf: group nothing does not exist"),
        ("m nobody disk", {}, "x.conf: account nobody, a member of the group disk, does not exist"),
        ("", {"nobody": "x"}, "x.conf: nobody has a password, but there is no such account; create it by sysusers"),
    ],
)
def test_what_contradicts_is_an_error(text, passwords, message):
    with pytest.raises(UserError, match=message):
        merged(text, passwords)


@pytest.mark.parametrize("line", ["root:x:0", "root:x:0:0:root:/root:/bin/bash"])
def test_a_damaged_file_is_an_error(line):
    before = Databases(BEFORE.passwd + line + "\n", "", "", "")
    with pytest.raises(UserError, match="/etc/passwd:3: has not 7 fields, or a repeated name"):
        merge(before, parse_sysusers("", "x"), {}, "x")


def test_pwck_and_grpck_find_nothing_wrong(tmp_path):
    after = merged('u admin 601 "Admins" / /bin/sh\ng data 70\nm root data\nm backup data', {"root": "$6$x$y"})
    for name in ("passwd", "group", "shadow", "gshadow"):
        (tmp_path / name).write_text(getattr(after, name).replace("/root:/bin/bash", "/:/bin/sh"))
    for checker, files in (("pwck", ("passwd", "shadow")), ("grpck", ("group", "gshadow"))):
        result = subprocess.run(
            [oracle(checker), "--read-only", "--quiet", *(tmp_path / name for name in files)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (result.returncode, result.stdout) == (0, ""), checker
