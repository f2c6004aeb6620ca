"""Finds the files of a root tree that are not as a package has them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from tools.image.extents import Image
from tools.image.stream import buffers
from tools.sbom.control import stanzas
from tools.sbom.installed import STATUS, read_text
from tools.sbom.inventory import OwnFile
from tools.tree.node import Directory, File, Symlink, walk
from tools.tree.paths import components, lookup

_INFO = "var/lib/dpkg/info"
_DATABASE = "var/lib/dpkg/"
"""dpkg's own files: they describe the packages, and no package has them."""


def own_files(root: Directory) -> Iterator[OwnFile]:
    """Yields the files that no package has, or with another content, in the order of their paths.

    A package's contents are known by the MD5 sums of dpkg's database, which tell changes by accident and by layers of
    the tree, not an attacker's. The database itself is left out.
    """
    sums = {_resolved(root, path): md5 for path, md5 in _package_sums(root)}
    for name, node in walk(root):
        path = _text(name)
        if not isinstance(node, File) or path.startswith(_DATABASE):
            continue
        md5, sha1, sha256 = _digests(node.content)
        if sums.get(path) != md5:
            yield OwnFile(path=f"/{path}", sha1=sha1, sha256=sha256, size=node.content.size)


def _package_sums(root: Directory) -> Iterator[tuple[str, str]]:
    """Yields path and MD5 of the files of packages, from dpkg's lists (deb-md5sums(5)) and configuration files."""
    info = lookup(root, components(_INFO), follow=True)
    for name in sorted(info.entries) if isinstance(info, Directory) else ():
        if name.endswith(b".md5sums"):
            for line in read_text(root, f"{_INFO}/{name.decode('utf-8', 'surrogateescape')}").splitlines():
                md5, _, path = line.partition("  ")
                yield path, md5
    for fields in stanzas(read_text(root, STATUS)):
        for line in fields.get("conffiles", "").splitlines():
            path, _, rest = line.strip().partition(" ")
            yield path.lstrip("/"), rest.partition(" ")[0]


def _resolved(root: Directory, path: str) -> str:
    """Returns a path with a link of the top directory resolved, such as /lib, which is one to /usr/lib."""
    first, slash, rest = path.partition("/")
    node = root.entries.get(first.encode())
    return f"{_text(node.target).strip('/')}/{rest}" if slash and isinstance(node, Symlink) else path


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _digests(content: Image) -> tuple[str, str, str]:
    """Returns MD5, SHA-1 and SHA-256 in hexadecimal."""
    hashes = (hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False), hashlib.sha256())
    for data in buffers(content):
        for each in hashes:
            each.update(data)
    md5, sha1, sha256 = (each.hexdigest() for each in hashes)
    return md5, sha1, sha256
