"""Special rights, as the kernel and setcap(8) store them."""

import pytest

from tools.image.extents import Image
from tools.report.rights import CAPABILITY_XATTR, capabilities, special_rights
from tools.tree.node import Directory, File, Symlink


def file(permissions, xattrs=None):
    return File(permissions=permissions, content=Image(0), xattrs=xattrs or {})


# Values as `getfattr -e hex -n security.capability` prints them after setcap with the text.
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0100000200200000000000000000000000000000", ["cap_net_raw=ep"]),
        ("0000000200200000000000000000000000000000", ["cap_net_raw=p"]),
        ("0100000200140000000400000000000000000000", ["cap_net_bind_service=eip", "cap_net_admin=ep"]),
        ("0000000200000000000400000000000000000000", ["cap_net_bind_service=i"]),
        ("010000020000000000000000c000000000000000", ["cap_perfmon=ep", "cap_bpf=ep"]),
        ("010000030020000000000000000000000000000010270000", ["cap_net_raw=ep"]),
        ("0100000100200000" + "00000000", ["cap_net_raw=ep"]),
        ("01000002002000000000", ["capabilities that cannot be read: 01000002002000000000"]),
        ("", ["capabilities that cannot be read: "]),
    ],
)
def test_capabilities(value, expected):
    assert list(capabilities(bytes.fromhex(value))) == expected


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (file(0o755), []),
        (file(0o4755), ["setuid"]),
        (file(0o6755), ["setuid", "setgid"]),
        (file(0o666), ["world-writable"]),
        (Directory(permissions=0o777), ["world-writable"]),
        (Directory(permissions=0o1777), ["world-writable, sticky"]),
        (Directory(permissions=0o2755), []),
        (Symlink(target=b"x"), []),
        (
            file(0o755, {CAPABILITY_XATTR: bytes.fromhex("0100000200200000000000000000000000000000")}),
            ["cap_net_raw=ep"],
        ),
    ],
)
def test_special_rights(node, expected):
    assert list(special_rights(node)) == expected
