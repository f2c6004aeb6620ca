import pytest

from tools.core.errors import UserError
from tools.ddi.extension import KINDS, check_tree, release_text
from tools.testing.small_trees import layer


def check(kind, *lines):
    check_tree(KINDS[kind], layer("test", *lines).root)


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("sysext", ["usr/bin/tool = x"]),
        ("sysext", ["opt/tool -> /usr/bin/tool", "usr/share/"]),
        ("confext", ["etc/tool/tool.conf = x"]),
    ],
)
def test_trees_of_extensions(kind, lines):
    check(kind, *lines)


@pytest.mark.parametrize(
    ("kind", "lines", "message"),
    [
        ("sysext", [], "is empty; a sysext has files in /usr and /opt"),
        ("sysext", ["usr/a = x", "etc/app/a.conf = x"], "/etc/app/a.conf is not in /usr and /opt, all that a sysext"),
        ("sysext", ["usr/a = x", "var/lib/"], "/var/lib is not in /usr and /opt"),
        ("sysext", ["usr/a = x", "bin -> usr/bin"], "/bin is not in /usr and /opt"),
        ("sysext", ["usr -> opt", "opt/a = x"], "/usr is not in /usr and /opt"),
        ("sysext", ["usrlocal/a = x"], "/usrlocal/a is not in /usr and /opt"),
        ("sysext", ["usr/lib/os-release = x"], "/usr/lib/os-release names the system itself, which a sysext must not"),
        (
            "confext",
            ["usr/a = x"],
            "/usr/a is not in /etc, all that a confext extends; move it, or leave it out by strip",
        ),
        ("confext", ["etc/os-release -> ../usr/lib/os-release"], "/etc/os-release names the system itself"),
    ],
)
def test_trees_that_are_none(kind, lines, message):
    with pytest.raises(UserError) as error:
        check(kind, *lines)
    assert str(error.value).startswith(message)


def test_release_file():
    fields = {"ID": "debian", "VERSION_ID": "13", "SYSEXT_LEVEL": "", "ARCHITECTURE": "x86-64"}
    assert release_text(fields) == "ID=debian\nVERSION_ID=13\nARCHITECTURE=x86-64\n"
