"""What specifications and command lines say about a root tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tools.core.cli import argument
from tools.core.json_spec import FileName


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a layer that is described rather than taken from an archive.

    Attributes:
        path: in the tree.
        type: what it is.
        source: a file's content, as a path of this machine; empty for an empty file.
        target: of a symbolic link.
        mode: octal digits; by default 0644 for files, 0755 for directories, 0777 for symbolic links.
        uid: the owner.
        gid: the group.
    """

    path: str
    type: Literal["file", "directory", "symlink"] = "file"
    source: str = ""
    target: str = ""
    mode: str = ""
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A layer: an archive, or entries.

    Attributes:
        label: what to call it in messages; by default the archive's path.
        archive: path of a plain tar.
        entries: described one by one; directories on the way to them are made as they are needed.
        prefix: directory of the tree in which it is put.
        strip_paths: patterns of paths to leave out of it; see `tools.tree.select`.
        owner: `UID:GID` that all of it belongs to; by default as the archive and the entries say.
        overrides: patterns of paths that replace what the layers below have.
        directories: what becomes of directories that differ from those of the layers below; see
            `tools.tree.merge.Directories`.
    """

    label: str = ""
    archive: str = ""
    entries: list[Entry] = field(default_factory=list)
    prefix: str = ""
    strip_paths: list[str] = field(default_factory=list)
    owner: str = ""
    overrides: list[str] = field(default_factory=list)
    directories: Literal["same", "keep", "replace"] = "same"


@dataclass(frozen=True, slots=True)
class AccountsSpec:
    """Accounts to put into /etc/passwd and its like.

    Attributes:
        sysusers: paths in the tree of files in the format of sysusers.d(5).
        passwords: passwords in clear, by account; only for images that everybody may enter.
    """

    sysusers: list[str] = field(default_factory=list)
    passwords: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RootfsArguments:
    """The arguments of command lines that write a root tree."""

    layers: tuple[LayerSpec, ...] = argument("layers, the later ones on top; see tools/rootfs/tree_spec.py", default=())
    layer: tuple[FileName, ...] = argument("a plain tar to put on top of the layers", default=())
    accounts: AccountsSpec | None = argument("accounts to add to those of the layers; see there too", default=None)
    strip_paths: tuple[str, ...] = argument("pattern of paths to leave out", default=())
    subdir: str = argument("directory of the tree that becomes the root, with what it holds", default="")
    mtime: int = argument("time of every file, in seconds since the epoch", default=0)
    clamp_mtime: bool = argument(
        "leave earlier times as they are, as SOURCE_DATE_EPOCH is meant, instead of setting all to mtime", default=False
    )
    file_contexts: tuple[FileName, ...] = argument(
        "file of SELinux labels; paths are looked up from the whole tree's root, so that of subdir has the label of "
        "the mount point. Later files come last",
        default=(),
    )
    file_contexts_subs: FileName | None = argument(
        "file of paths to look up instead of others, for labels", default=None
    )
