"""The specification of a root tree, in JSON and in command line arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tools.core.cli import argument
from tools.core.json_spec import FileName


@dataclass(frozen=True, slots=True)
class Entry:
    """A path of a layer that is not from an archive.

    Attributes:
        path: path in the layer.
        type: file type; `files` stands for all files below the directory `source`, by their paths below `path`.
            Symbolic links among them are followed, since sandboxes present files as links, and empty directories are
            left out.
        source: path of the file with its content on the build machine; empty for an empty file. An aligned MiB of zeros
            becomes a hole, whether or not the file is sparse.
        target: target of a symbolic link.
        mode: permissions in octal; by default 0644 for files, 0755 for directories, 0777 for symbolic links.
        uid: user ID.
        gid: group ID.
    """

    path: str
    type: Literal["file", "files", "directory", "symlink"] = "file"
    source: str = ""
    target: str = ""
    mode: str = ""
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class MetadataSpec:
    """Metadata by patterns of paths; see `tools.tree.select`. A pattern that selects nothing is an error.

    Attributes:
        owners: `UID:GID`.
        capabilities: of files, as setcap(8) takes them; see `tools.tree.capability`.
        xattrs: lists of `NAME=VALUE`, with values as setfattr(1) takes them: text, 0x and hexadecimal, 0s and Base64.
    """

    owners: dict[str, str] = field(default_factory=dict)
    capabilities: dict[str, str] = field(default_factory=dict)
    xattrs: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A layer: an archive, or entries.

    Attributes:
        label: name of the layer in messages; by default the archive's path.
        archive: path of an uncompressed tar archive.
        entries: entries to add; missing directories above them are created.
        prefix: directory of the tree that the layer is placed in.
        strip_paths: patterns of paths to remove from the layer; see `tools.tree.select`.
        owner: `UID:GID` of everything in the layer; by default as in the archive and the entries.
        overrides: patterns of paths that replace those of the layers below.
        directories: how to handle directories with other metadata than in the layers below; see
            `tools.tree.merge.Directories`.
        metadata: of paths in the tree up to this layer, which is set after the layer is merged.
    """

    label: str = ""
    archive: str = ""
    entries: list[Entry] = field(default_factory=list)
    prefix: str = ""
    strip_paths: list[str] = field(default_factory=list)
    owner: str = ""
    overrides: list[str] = field(default_factory=list)
    directories: Literal["same", "keep", "replace"] = "same"
    metadata: MetadataSpec = field(default_factory=MetadataSpec)


@dataclass(frozen=True, slots=True)
class AccountsSpec:
    """Accounts to add to /etc/passwd, group, shadow and gshadow.

    Attributes:
        sysusers: paths in the tree of sysusers.d(5) files.
        passwords: clear-text passwords by account; only for images to which everybody may log in.
        label: the target that adds them, for messages.
    """

    sysusers: list[str] = field(default_factory=list)
    passwords: dict[str, str] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True, slots=True)
class StripSpec:
    """Paths to remove from the complete tree.

    Attributes:
        label: the target that removes them, for messages.
        paths: patterns of the paths; see `tools.tree.select`.
    """

    label: str
    paths: list[str]


@dataclass(frozen=True, slots=True)
class ExecutablesSpec:
    """Programs that must be able to start in the tree; see `tools.rootfs.executables`.

    Attributes:
        paths: patterns of their paths; see `tools.tree.select`.
        architecture: of the programs that are ELF files, as uname(1) names it.
    """

    paths: list[str] = field(default_factory=list)
    architecture: str = "x86_64"


@dataclass(frozen=True, slots=True)
class UnitsSpec:
    """Units of systemd to check; see `tools.rootfs.units`.

    Attributes:
        required: names of units that the tree must have, by what needs them, as messages name it.
        own: whether the units and links of layers of entries are checked: that a unit exists which a link enables, and
            that programs of units can start.
        architecture: of programs that are ELF files, as uname(1) names it.
    """

    required: dict[str, list[str]] = field(default_factory=dict)
    own: bool = False
    architecture: str = "x86_64"


@dataclass(frozen=True, kw_only=True)
class RootfsArguments:
    """The arguments of commands that build a root tree."""

    layers: tuple[LayerSpec, ...] = argument("layers, the later ones on top; see tools/rootfs/tree_spec.py", default=())
    layer: tuple[FileName, ...] = argument("an uncompressed tar to put on top of the layers", default=())
    drop_keyword: tuple[str, ...] = argument(
        "keyword of extended headers (pax) to ignore in archives, such as SCHILY.acl.access", default=()
    )
    accounts: AccountsSpec | None = argument("accounts to add to those of the layers; see there, too", default=None)
    strip_paths: tuple[str, ...] = argument("pattern of paths to remove", default=())
    strip: tuple[StripSpec, ...] = argument("the same with the targets that remove them; see there, too", default=())
    executables: tuple[ExecutablesSpec, ...] = argument(
        "programs to check: that they can start in the tree; see there, too", default=()
    )
    units: tuple[UnitsSpec, ...] = argument("units of systemd to check; see there, too", default=())
    partial: bool = argument(
        "the tree is a part of another one: paths of strip_paths and subdir that it lacks are no error", default=False
    )
    subdir: str = argument("directory of the tree that becomes the root", default="")
    mtime: int = argument("modification time of all files, in seconds since the epoch", default=0)
    clamp_mtime: bool = argument(
        "only limit times to mtime, as SOURCE_DATE_EPOCH demands, instead of setting all to it", default=False
    )
    file_contexts: tuple[FileName, ...] = argument(
        "file of SELinux labels (file_contexts); paths are looked up from the root of the whole tree, so that subdir "
        "has the label of the mount point. Later files have precedence",
        default=(),
    )
    file_contexts_subs: FileName | None = argument(
        "file of path prefixes and their replacements, for labels", default=None
    )
