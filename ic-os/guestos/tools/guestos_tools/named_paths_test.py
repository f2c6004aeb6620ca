import pytest

from guestos_tools.named_paths import Arguments, Mention, main, mentions
from tools.core.errors import CheckError, UserError
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.testing.sample_disk import ext4
from tools.tree.layer import Layer
from tools.tree.node import File
from tools.tree.paths import components

UNIT = b"""
[Unit]
ConditionPathExists=/opt/ic/bin/optional
[Service]
ExecStart=+/opt/ic/bin/tool --x=/opt/ic/share/a.txt
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"ExecStart=/opt/ic/bin/a $ARGS", [(b"/opt/ic/bin/a", False)]),
        (b"x ALL=(root) /opt/ic/bin/a, /opt/ic/bin/b.sh\n", [(b"/opt/ic/bin/a", False), (b"/opt/ic/bin/b.sh", False)]),
        (b"# see /opt/ic/bin/a.", [(b"/opt/ic/bin/a", False)]),
        (b'open("/opt/ic/share/a.txt")', [(b"/opt/ic/share/a.txt", False)]),
        (b"PATH=/opt/ic/bin:/bin", [(b"/opt/ic/bin", False)]),
        (b"cat /opt/ic/share/*.pem /opt/ic/bin/a-$X", [(b"/opt/ic/share", False), (b"/opt/ic/bin", False)]),
        (b"/opt/ic/share/x-%i.txt", [(b"/opt/ic/share", False)]),
        (b"ConditionPathExists=|!/opt/ic/bin/a\n/opt/ic/bin/a", [(b"/opt/ic/bin/a", True)] * 2),
        (b'if [ -x "/opt/ic/bin/a" ]; then /opt/ic/bin/a; fi', [(b"/opt/ic/bin/a", True)] * 2),
        (b"[[ ! -e /opt/ic/bin/a ]] || test -f /opt/ic/b", [(b"/opt/ic/bin/a", True), (b"/opt/ic/b", True)]),
        (b"EnvironmentFile=-/opt/ic/env\n", [(b"/opt/ic/env", True)]),
        (b"ExecStart=-/opt/ic/bin/a\nExecStart=/opt/ic/bin/ab", [(b"/opt/ic/bin/a", True), (b"/opt/ic/bin/ab", False)]),
        (b"/opt/icy /x/opt/ic/a -/opt/ic/b", []),
    ],
)
def test_paths_are_found_in_any_text(text, found):
    assert list(mentions(text, "file", "/opt/ic")) == [Mention("file", *each) for each in found]


@pytest.fixture
def check(tmp_path):
    def run(files):
        layer = Layer.empty("//test")
        for path, (mode, content) in files.items():
            layer.add(components(path), File(permissions=mode, content=Image.from_bytes(content)))
        image = tmp_path / "root.img"
        write_raw(ext4(layer.root), image)
        main(Arguments(image=str(image), sources=("/etc", "/opt/ic")))

    return run


GOOD = {
    "etc/systemd/system/a.service": (0o644, UNIT),
    "opt/ic/bin/tool": (0o755, b"#!/bin/sh\n"),
    "opt/ic/share/a.txt": (0o644, b"text"),
    "opt/ic/share/blob": (0o644, b"\0/opt/ic/bin/not-a-text"),
}


def test_what_is_complete_passes(check, capsys):
    check(GOOD)
    assert capsys.readouterr().out.endswith("root.img: 3 paths checked, in 3 places\n")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"etc/sudoers.d/a": (0o440, b"a ALL=(root) NOPASSWD: /opt/ic/bin/gone\n")},
            "/etc/sudoers.d/a: names /opt/ic/bin/gone, which does not exist",
        ),
        (
            {"opt/ic/bin/tool": (0o644, b"#!/bin/sh\n")},
            "/opt/ic/bin/tool: has mode 0644, but everybody must be able to execute it",
        ),
        (
            {"opt/ic/share/a.txt": (0o600, b"text")},
            "/opt/ic/share/a.txt: has mode 0600, but everybody must be able to read it",
        ),
        (
            {"opt/ic/bin/tool": (0o775, b"#!/bin/sh\n")},
            "/opt/ic/bin/tool: has mode 0775 and owner 0:0; only root may write to it",
        ),
    ],
)
def test_each_fault_is_a_line(check, capsys, change, line):
    with pytest.raises(CheckError, match="1 faults, see the lines above"):
        check(GOOD | change)
    assert capsys.readouterr().out == f"{line}\n"


def test_an_image_that_names_nothing_is_an_error(check):
    with pytest.raises(UserError, match="no file names a path below /opt/ic"):
        check({"etc/a": (0o644, b"text"), "opt/ic/a": (0o644, b"text")})
