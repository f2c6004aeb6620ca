"""Finds the package that each file of a root tree is from."""

from __future__ import annotations

from tools.sbom.control import stanzas
from tools.sbom.installed import STATUS, read_text
from tools.tree.node import Directory, Symlink
from tools.tree.paths import components, lookup

_INFO = "var/lib/dpkg/info"


def file_owners(root: Directory) -> dict[bytes, str]:
    """Returns the names of packages by the paths of their files, relative to the root.

    They are those of dpkg's lists of files, of its MD5 sums (deb-md5sums(5)), which trees without the former may have,
    and of its configuration files. Links of the top directory, such as /lib, are resolved. A path of several packages,
    such as a directory, is that of the last one.
    """
    owners = {}
    info = lookup(root, components(_INFO), follow=True)
    for name in sorted(info.entries) if isinstance(info, Directory) else ():
        stem, _, kind = name.decode("utf-8", "surrogateescape").rpartition(".")
        if kind not in ("list", "md5sums"):
            continue
        for line in read_text(root, f"{_INFO}/{stem}.{kind}").splitlines():
            path = line if kind == "list" else line.partition("  ")[2]
            owners[_resolved(root, path)] = stem.partition(":")[0]
    for fields in stanzas(read_text(root, STATUS)):
        for line in fields.get("conffiles", "").splitlines():
            owners[_resolved(root, line.strip().partition(" ")[0])] = fields.get("package", "")
    owners.pop(b"", None)
    return owners


def _resolved(root: Directory, path: str) -> bytes:
    first, slash, rest = path.strip("/").encode("utf-8", "surrogateescape").partition(b"/")
    node = root.entries.get(first)
    return node.target.strip(b"/") + b"/" + rest if slash and isinstance(node, Symlink) else first + slash + rest
