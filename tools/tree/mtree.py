"""Lists trees in the format of mtree(5), which mtree(8) compares with directories, and which libarchive reads.

Each node has a line: its path from `.`, and keywords. Comments after it have what the format has no keyword for:

    #xattr NAME=0xVALUE     an extended attribute, with its value in hexadecimal
    #link PATH              the first name of a hard link, after each further name

Special characters of the format, and bytes of names and link targets that are not printable ASCII, are a backslash and
three octal digits (vis(3)). Times are seconds, rounded down, and nanoseconds after them: `-1.750000000` is 0.25 s
before 1970. Source: mtree(5) of libarchive and mtree(8) of NetBSD.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterator

from tools.image.digest import sha256
from tools.tree.node import Device, Directory, File, Node, Symlink, walk

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_PLAIN = frozenset(range(0x21, 0x7F)) - frozenset(b"#*?[\\=")


def mtree(root: Directory, *, digests: bool = True) -> Iterator[str]:
    """Yields the lines of a listing, without newlines; they depend only on the tree.

    Args:
        root: root of the tree.
        digests: whether to add the SHA-256 of files; all contents are read and hashed, including holes.
    """
    names = Counter(node for _, node in walk(root) if not isinstance(node, Directory))
    first: dict[Node, str] = {}
    known: dict[Node, str] = {}
    yield "#mtree"
    for path, node in walk(root):
        name = f"./{escaped(path)}" if path else "."
        words = keywords(node)
        if not isinstance(node, Directory):
            words["nlink"] = str(names[node])
        if digests and isinstance(node, File):
            if node not in known:
                known[node] = sha256(node.content).hex()
            words["sha256digest"] = known[node]
        yield " ".join((name, *(f"{keyword}={value}" for keyword, value in words.items())))
        for attribute, value in sorted(node.xattrs.items()):
            yield f"#xattr {escaped(attribute)}=0x{value.hex()}"
        if names[node] > 1 and first.setdefault(node, name) != name:
            yield f"#link {first[node]}"


def keywords(node: Node) -> dict[str, str]:
    """Returns the keywords of a node and their values, without nlink and sha256digest."""
    seconds, nanoseconds = divmod(node.mtime_ns, 10**9)
    words = {
        "type": _TYPES[node.file_type],
        "mode": f"{node.permissions:04o}",
        "uid": str(node.uid),
        "gid": str(node.gid),
        "time": f"{seconds}.{nanoseconds:09}",
    }
    match node:
        case File():
            words["size"] = str(node.content.size)
        case Symlink():
            words["link"] = escaped(node.target)
        case Device():
            words["device"] = f"native,{node.major},{node.minor}"  # the format "linux" has only 8 bits for each number
    return words


def escaped(name: bytes) -> str:
    """Escapes a name or a path for the format."""
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in name)
