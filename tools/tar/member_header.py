"""What stands before the data of an archive's member: an extended header where it needs one, a header, a map.

The format is POSIX pax with an extended header only where a plain one is too small for what it has to say. Files with
holes are stored in GNU tar's sparse format 1.0. Sources: as for the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tools.tar import header, pax, sparse

Records = list[tuple[bytes, bytes]]

ALIGNMENT = 4096

_NAME, _PREFIX = 100, 155
"""What the fields of a header hold, in bytes."""

_TEXTS = (b"path", b"linkpath", b"GNU.sparse.name")
_COMMENT = len(b"10 comment=\n")


class SparseFile(NamedTuple):
    """The ranges of a file that have data, as pairs of begin and end in order, and the file's size."""

    ranges: Sequence[tuple[int, int]]
    size: int


def member_header(
    path: bytes,
    kind: bytes,
    *,
    mode: int,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime_ns: int = 0,
    link: bytes = b"",
    device: tuple[int, int] | None = None,
    records: Records | None = None,
    sparse_file: SparseFile | None = None,
    align_from: int | None = None,
) -> bytes:
    """Returns what stands before a member's data. Numbers and texts of any size fit.

    Args:
        path: of the member; that of a directory ends with a slash.
        kind: a type of `header`.
        mode: its permissions.
        uid: number of its owner.
        gid: number of its group.
        size: of the data that are stored, in bytes.
        mtime_ns: time of the last modification, in nanoseconds since the epoch.
        link: target of a link.
        device: major and minor number of a device.
        records: of the extended header, beside those that the other arguments lead to.
        sparse_file: a regular file of whose bytes only the data are stored.
        align_from: where the result will stand, if the data after it are to begin at a multiple of ALIGNMENT.
    """
    needed = list(records or [])
    table = b""
    stored_path = path
    if sparse_file is not None:
        table = sparse.build_data([(begin, end - begin) for begin, end in sparse_file.ranges], sparse_file.size)
        needed += _sparse_records(path, sparse_file.size)
        # Readers that don't know the format extract the map and the data under this name.
        stored_path = (b"GNUSparseFile.0/" + path.rpartition(b"/")[2])[:_NAME]
    prefix, name = _split(stored_path)
    seconds, fraction = divmod(mtime_ns, 10**9)
    exact: Records = []
    if len(name) > _NAME:
        exact.append((b"path", stored_path))
    if len(link) > _NAME:
        exact.append((b"linkpath", link))
    exact += [
        (keyword, b"%d" % value) for keyword, value in ((b"uid", uid), (b"gid", gid)) if not header.fits(value, 8)
    ]
    if fraction or not header.fits(seconds, 12):
        exact.append((b"mtime", pax.format_time(mtime_ns)))
    main = header.build(
        name[:_NAME],
        kind,
        mode=mode,
        uid=_limited(uid, 8),
        gid=_limited(gid, 8),
        size=len(table) + size,
        mtime=_limited(seconds, 12),
        link=link[:_NAME],
        device=device,
        prefix=prefix,
    )
    end = None if align_from is None else align_from + len(main) + len(table)
    return _extended_header(stored_path, exact + needed, end) + main + table


def _sparse_records(path: bytes, size: int) -> Records:
    return [
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", path),
        (b"GNU.sparse.realsize", b"%d" % size),
    ]


def _limited(value: int, width: int) -> int:
    """Returns the nearest number that a field of the header can hold; the extended header has the right one."""
    return min(max(value, 0), (1 << 3 * (width - 1)) - 1)


def _split(path: bytes) -> tuple[bytes, bytes]:
    """Returns a path as the prefix and the name of a header; without a prefix where that doesn't help."""
    if len(path) > _NAME:
        slash = path.find(b"/", len(path) - _NAME - 1, len(path) - 1)
        if 0 < slash <= _PREFIX:
            return path[:slash], path[slash + 1 :]
    return b"", path


def _extended_header(path: bytes, records: Records, end: int | None) -> bytes:
    """Returns an extended header, or nothing where none is needed.

    Args:
        path: of the member.
        records: keywords and values.
        end: where the member's data would begin if the result were empty, if they are to be aligned; a comment fills
            the header up as needed.
    """
    if not all(_is_utf8(value) for keyword, value in records if keyword in _TEXTS):
        records = [(b"hdrcharset", b"BINARY"), *records]
    data = pax.build(records)
    length = header.BLOCK + header.padded(len(data)) if data else 0
    if end is not None and (end + length) % ALIGNMENT:
        least = len(data) + _COMMENT
        room = _COMMENT + -(end + header.BLOCK + least) % ALIGNMENT
        data += b"%d comment=%s\n" % (room, b" " * (room - len(b"%d comment=\n" % room)))
    if not data:
        return b""
    name = (b"PaxHeaders/" + path.rstrip(b"/").rpartition(b"/")[2])[:_NAME]
    return header.build(name, header.PAX, mode=0o644, size=len(data)) + data.ljust(header.padded(len(data)), b"\0")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
