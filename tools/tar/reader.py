"""Reads the members of a tar archive; contents are ranges of the archive.

Supports the formats of POSIX (ustar, pax), GNU tar and libarchive; see the other modules of this package for the
specifications. Stricter than common readers: a damaged or truncated archive is always an error.

A hard link has no data. Some writers give it the size of its file all the same; that size is ignored, as GNU tar,
bsdtar and Python ignore it. Only the extended headers of pax allow data after a hard link: there a size is an error.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from tools.core.errors import UserError
from tools.image.extents import Extent, FileRange, Image, InputFile
from tools.tar import acl, header, pax, sparse

_MAX_EXTENDED = 1 << 24
"""Maximum size of an extended header in bytes; Linux allows 64 KiB for all attributes of a file."""

_MAX_SIZE = (1 << 63) - 1
_MAX_ID = (1 << 32) - 2
_MAX_MAJOR, _MAX_MINOR = (1 << 12) - 1, (1 << 20) - 1

_DEVICES = (header.CHARACTER_DEVICE, header.BLOCK_DEVICE)
_FILES = (header.REGULAR, header.OLD_REGULAR, header.CONTIGUOUS, header.GNU_SPARSE)
_KINDS = (
    *_FILES,
    *_DEVICES,
    header.DIRECTORY,
    header.SYMLINK,
    header.HARD_LINK,
    header.FIFO,
    header.GNU_DUMP_DIRECTORY,
)

_COMPRESSED = {
    b"\x1f\x8b": "gzip -d",
    b"\x28\xb5\x2f\xfd": "zstd -d",
    b"\xfd7zXZ": "xz -d",
    b"BZh": "bzip2 -d",
    b"\x04\x22\x4d\x18": "lz4 -d",
}

_WITHOUT_MEANING = frozenset(
    b"atime ctime comment charset uname gname SCHILY.dev SCHILY.ino SCHILY.nlink SCHILY.filetype "
    b"LIBARCHIVE.creationtime LIBARCHIVE.symlinktype SCHILY.release SCHILY.archtype GNU.dumpdir "
    b"GNU.volume.label".split()
)
"""Keywords that are ignored, since they say nothing that a Linux file system stores: they are about the archive, the
machine that wrote it, or incremental backups. All others are supported, or an error, unless the caller drops them."""

_VENDORS = (b"APK-TOOLS.", pax.XATTR + b"com.apple.", pax.LIBARCHIVE_XATTR + b"com.apple.")
"""Beginnings of keywords that are ignored, too: checksums of Alpine's packages, attributes that only macOS has."""

_FLAGS = b"SCHILY.fflags"
_FLAGS_WITHOUT_MEANING = b"nodump"  # for backup programs

_EMPTY = Image(0)

_ACLS = {pax.ACL_ACCESS: acl.ACCESS, pax.ACL_DEFAULT: acl.DEFAULT}


@dataclass(slots=True, kw_only=True)
class Member:
    """A member of an archive.

    Attributes:
        name: its path, as in the archive.
        kind: the type flag: DIRECTORY, HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE or FIFO of `header`, or
            REGULAR for all kinds of regular files.
        permissions: the mode without the file type.
        uid: user ID; user names are ignored.
        gid: group ID; group names are ignored.
        mtime_ns: modification time in nanoseconds since the epoch.
        link: target of a symbolic or hard link.
        device: major and minor number of a device.
        xattrs: values of extended attributes by full name.
        content: content of a regular file, else None.
        offset: offset of its header in the archive, for messages.
    """

    name: bytes
    kind: bytes
    permissions: int
    uid: int
    gid: int
    mtime_ns: int
    link: bytes
    device: tuple[int, int] = (0, 0)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    content: Image | None = None
    offset: int


def read_members(path: str | os.PathLike[str], drop: Collection[str] = ()) -> Iterator[Member]:
    """Yields the members of an uncompressed tar archive, in order.

    Args:
        path: the archive.
        drop: keywords of extended headers to ignore.

    Raises:
        UserError: the file is not a tar archive, is compressed, damaged or truncated, or has unsupported members.
    """
    return _Reader(InputFile(path), frozenset(map(os.fsencode, drop))).members()


def check_not_compressed(file: InputFile) -> None:
    """Checks that a file isn't compressed, since files are read in place.

    Raises:
        UserError: it starts with the magic number of a compressed format; the message has the command to decompress it.
    """
    start = file.read(0, min(file.size(), 6))
    for magic, command in _COMPRESSED.items():
        if start.startswith(magic):
            message = f"is compressed, and files are read in place: decompress it first ({command})"
            raise UserError(f"{file.path}: {message}")


class _Reader:
    """Iterates over the members of one archive.

    Methods raise `ValueError` for invalid input; `_next` turns it into a `UserError` with the member and offset.
    """

    def __init__(self, file: InputFile, drop: frozenset[bytes]) -> None:
        self._file = file
        self._drop = drop
        self._size = file.size()
        self._at = 0
        self._offset = 0
        self._name: bytes | None = None
        self._global: dict[bytes, bytes] = {}
        self._is_pax = False

    def members(self) -> Iterator[Member]:
        self._check_start()
        while (member := self._next()) is not None:
            yield member
        self._check_end()

    def _check_start(self) -> None:
        check_not_compressed(self._file)
        if self._size < header.BLOCK:
            raise UserError(f"{self._file.path}: is not a tar archive: it has {self._size} bytes")

    def _check_end(self) -> None:
        """Checks that nothing but zeros follows the first block of zeros."""
        while self._at < self._size:
            length = min(1 << 20, self._size - self._at)
            if self._file.read(self._at, length).strip(b"\0"):
                message = "has data after the end of the archive; joined archives are not supported"
                raise UserError(f"{self._file.path}: {message}")
            self._at += length

    def _next(self) -> Member | None:
        self._name = None
        try:
            return self._read_member()
        except ValueError as error:
            what = "header" if self._name is None else f"member {self._name.decode(errors='backslashreplace')!r}"
            raise UserError(f"{self._file.path}: {what} at byte {self._offset}: {error}") from error

    def _read_member(self) -> Member | None:
        """Returns the next member, None at the end of the archive."""
        self._is_pax = bool(self._global)
        records: list[tuple[bytes, bytes]] = []
        while True:
            self._offset = self._at
            block = self._block()
            if block == header.END[: header.BLOCK]:
                if records:
                    raise ValueError("the archive ends after an extended header; it is damaged")
                return None
            if not header.checksum_matches(block):
                raise ValueError("is not a tar header; the archive is damaged")
            kind = block[156:157]
            if kind in _KINDS:
                return self._member(block, kind, records)
            records += self._extension(block, kind)

    def _extension(self, block: bytes, kind: bytes) -> list[tuple[bytes, bytes]]:
        """Returns the records of an extension header for the member that follows it."""
        if kind in (header.PAX, header.PAX_SOLARIS):
            self._is_pax = True
            return pax.parse(self._data(block))
        if kind == header.PAX_GLOBAL:
            self._is_pax = True
            self._global.update(pax.parse(self._data(block)))
        elif kind == header.GNU_LONG_NAME:
            return [(b"path", header.text(self._data(block)))]
        elif kind == header.GNU_LONG_LINK:
            return [(b"linkpath", header.text(self._data(block)))]
        elif kind != header.GNU_VOLUME_LABEL:
            raise ValueError(f"has the type {kind.decode('latin-1')!r}, which is not supported")
        return []

    def _block(self) -> bytes:
        if self._at + header.BLOCK > self._size:
            raise ValueError("the archive ends here without an end mark; it is truncated")
        block = self._file.read(self._at, header.BLOCK)
        self._at += header.BLOCK
        return block

    def _take(self, size: int) -> int:
        """Skips `size` bytes of data and their padding, and returns their offset."""
        self._check_follow(size)
        start = self._at
        self._at += header.padded(size)
        return start

    def _check_follow(self, size: int) -> None:
        if size > self._size - self._at:
            left = self._size - self._at
            raise ValueError(f"{size} bytes of data should follow, {left} do; the archive is truncated")

    def _data(self, block: bytes) -> bytes:
        """Returns the data of an extension header."""
        size = _in_range(header.number(block[124:136]), "size", _MAX_EXTENDED)
        return self._file.read(self._take(size), size)

    def _member(self, block: bytes, kind: bytes, local: list[tuple[bytes, bytes]]) -> Member:
        """Returns the member with the header `block`, and skips its data."""
        name, mode, uid, gid, size, mtime, _, _, link, magic, _, _, _, major, minor, prefix, _ = header.parse(block)
        name = header.text(name)
        if magic == header.USTAR_MAGIC and prefix[0]:
            name = header.text(prefix) + b"/" + name
        self._name = name
        member = Member(
            name=name,
            kind=kind,
            permissions=header.number(mode) & 0o7777,
            uid=header.number(uid),
            gid=header.number(gid),
            mtime_ns=_nanoseconds(header.number(mtime)),
            link=header.text(link),
            offset=self._offset,
        )
        if kind in _DEVICES:
            member.device = header.number(major), header.number(minor)
        records = [*self._global.items(), *local] if self._global else local
        if records:
            _apply(member, [record for record in records if record[0] not in self._drop])
            self._name = member.name
        _in_range(member.uid, "owner", _MAX_ID)
        _in_range(member.gid, "group", _MAX_ID)
        _in_range(member.device[0], "major number", _MAX_MAJOR)
        _in_range(member.device[1], "minor number", _MAX_MINOR)
        stored = _size(records, header.number(size))
        if kind in _FILES:
            self._read_file(member, block, records, stored)
        elif kind == header.HARD_LINK and stored and self._is_pax:
            message = "is a hard link with data of its own, as pax -o linkdata writes; archive without that option"
            raise ValueError(message)
        elif kind == header.GNU_DUMP_DIRECTORY:
            self._take(stored)  # the names in the directory, for incremental backups
            member.kind = header.DIRECTORY
        return member

    def _read_file(self, member: Member, block: bytes, records: list[tuple[bytes, bytes]], stored: int) -> None:
        """Sets the content of a regular file."""
        self._check_follow(stored)
        sizes = dict(records)
        if member.kind == header.GNU_SPARSE:
            pairs = sparse.read_old(block, self._block, stored)
            self._set_content(member, header.number(block[sparse.OLD_REAL_SIZE]), pairs, stored)
        elif sizes.get(b"GNU.sparse.major", b"0") != b"0":
            if (sizes[b"GNU.sparse.major"], sizes.get(b"GNU.sparse.minor")) != (b"1", b"0"):
                raise ValueError("is a sparse file in a format that is not supported")
            size = pax.integer(sizes.get(b"GNU.sparse.realsize", b""))
            self._set_content(member, size, *sparse.read_data(self._block, stored))
        elif b"GNU.sparse.size" in sizes:
            size = pax.integer(sizes[b"GNU.sparse.size"])
            self._set_content(member, size, sparse.read_records(records, stored), stored)
        else:
            start = self._take(stored)
            member.content = Image(stored, (Extent(0, stored, FileRange(self._file, start)),)) if stored else _EMPTY
        member.kind = header.REGULAR
        if not stored and member.name.endswith(b"/"):  # a directory in old archives, without a type flag for it
            member.kind, member.content = header.DIRECTORY, None

    def _set_content(self, member: Member, size: int, pairs: sparse.Map, stored: int) -> None:
        _in_range(size, "size", _MAX_SIZE)
        sparse.check(pairs, size, stored)
        start = self._take(stored)
        extents = []
        for offset, length in pairs:
            extents.append(Extent(offset, length, FileRange(self._file, start)))
            start += length
        member.content = Image(size, extents)


@lru_cache(maxsize=4096)
def _nanoseconds(seconds: int) -> int:
    """Returns seconds in nanoseconds; cached, so that equal times of many members are one object."""
    return seconds * 10**9


def _in_range(value: int, what: str, most: int) -> int:
    if not 0 <= value <= most:
        raise ValueError(f"has the {what} {value}, which is {'negative' if value < 0 else f'more than {most}'}")
    return value


def _size(records: list[tuple[bytes, bytes]], size: int) -> int:
    """Returns the size of a member's data in the archive, from its extended header if there, else from its header."""
    for keyword, value in records:
        if keyword == b"size" and value:
            size = pax.integer(value)
    return _in_range(size, "size", _MAX_SIZE)


def _apply(member: Member, records: list[tuple[bytes, bytes]]) -> None:
    """Sets the fields of a member from extended headers; the last value of a keyword counts, empty ones are ignored."""
    for keyword, value in records:
        if keyword.startswith(_VENDORS) or (keyword, value) == (_FLAGS, _FLAGS_WITHOUT_MEANING):
            continue
        if keyword.startswith(pax.XATTR):
            member.xattrs[pax.xattr_name(keyword)] = value
        elif keyword.startswith(pax.LIBARCHIVE_XATTR):
            name, decoded = pax.libarchive_xattr(keyword, value)
            member.xattrs.setdefault(name, decoded)
        elif keyword in _ACLS:
            encoded = _acl(keyword, value)
            if keyword == pax.ACL_DEFAULT or not acl.is_minimal(encoded):
                member.xattrs[_ACLS[keyword]] = encoded
        elif keyword == pax.SELINUX:
            member.xattrs[b"security.selinux"] = value + b"\0"  # with a NUL, as in Linux
        elif value and not _apply_standard(member, keyword, value):
            shown = keyword.decode(errors="backslashreplace")
            raise ValueError(f"has the keyword {shown!r}, which is not supported; to drop it: --drop_keyword={shown}")


def _acl(keyword: bytes, value: bytes) -> bytes:
    try:
        return acl.from_text(value)
    except acl.NameWithoutIDError as error:
        raise ValueError(f"{error}, or drop it by --drop_keyword={keyword.decode()}") from error


def _apply_standard(member: Member, keyword: bytes, value: bytes) -> bool:
    """Sets the field of a member for a keyword of POSIX or GNU tar; returns whether the keyword is supported."""
    match keyword:
        case b"path" | b"GNU.sparse.name":
            member.name = value
        case b"linkpath":
            member.link = value
        case b"uid":
            member.uid = pax.integer(value)
        case b"gid":
            member.gid = pax.integer(value)
        case b"SCHILY.devmajor":
            member.device = pax.integer(value), member.device[1]
        case b"SCHILY.devminor":
            member.device = member.device[0], pax.integer(value)
        case b"mtime":
            member.mtime_ns = pax.time_ns(value)
        case b"hdrcharset":
            pax.check_charset(value)
        case _:
            return keyword == b"size" or keyword in _WITHOUT_MEANING or keyword.startswith(b"GNU.sparse.")
    return True
