import pytest

from tools.image.extents import Image
from tools.tree.node import Directory, File, Symlink
from tools.tree.readable import is_secret


def file(permissions=0o644):
    return File(permissions=permissions, content=Image.from_bytes(b"x"))


@pytest.mark.parametrize(
    ("permissions", "folder", "secret"),
    [
        (0o644, 0o755, False),
        (0o644, 0o711, False),
        (0o604, 0o701, False),
        (0o640, 0o755, True),
        (0o600, 0o755, True),
        (0o000, 0o755, True),
        (0o644, 0o700, True),
        (0o644, 0o750, True),
        (0o644, 0o754, True),
    ],
)
def test_mode_of_the_file_and_of_its_folder_count(permissions, folder, secret):
    node = file(permissions)
    inner = Directory(permissions=folder, entries={b"key": node})
    root = Directory(entries={b"etc": inner, b"public": file(), b"link": Symlink(target=b"etc/key")})
    assert is_secret(root, node) == secret
    assert is_secret(root, inner) == secret
    assert is_secret(root, root) == secret
    assert not is_secret(root, root.entries[b"public"])


def test_a_second_name_makes_a_file_public():
    node = file()
    root = Directory(entries={b"closed": Directory(permissions=0o700, entries={b"a": node}), b"b": node})
    assert not is_secret(root, node)


def test_an_empty_folder_is_no_secret():
    lost = Directory(permissions=0o700)
    assert not is_secret(Directory(entries={b"lost+found": lost}), lost)
