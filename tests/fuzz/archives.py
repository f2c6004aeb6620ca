"""Fuzz targets for archives: tar with all forms of sparse members, Debian packages, update images and manifests."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import gzip
import io
import json
import os
import random
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from guestos import bootstrap, manifest, update_keys
from guestos.errors import GuestError
from guestos.update_image import open_archive
from guestos.update_keys import Trust

from tests.fuzz.target import WORDS, Target, mutated, number, text_number
from tools.core.errors import UserError
from tools.debian.deb import Deb
from tools.image.extents import Image
from tools.tar import header, pax
from tools.tar.sparse_archive import Member, archive_of
from tools.tree.tar_reader import read_archive
from tools.upgrade.manifest import Manifest, describe_image, encode

MIB = 1 << 20
_KINDS = b"0123456789xgLKSVDAX\0M"
_KEYWORDS = (b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime", b"hdrcharset", b"SCHILY.xattr.user.x", b"comment")
_KEYWORDS += (b"SCHILY.acl.access", b"LIBARCHIVE.xattr.user.x", b"RHT.security.selinux", b"SCHILY.devmajor")
_SPARSE = (b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.name", b"GNU.sparse.realsize", b"GNU.sparse.size")
_SPARSE += (b"GNU.sparse.map", b"GNU.sparse.offset", b"GNU.sparse.numbytes", b"GNU.sparse.numblocks")


def _name(chance: random.Random) -> bytes:
    names = (b"a", b"a/b", b"a/b/c", b"./a", b"/etc/passwd", b"..", b"a/../b", b"d/", b"a" * 100)
    return chance.choice(WORDS) if chance.random() < 0.1 else chance.choice(names)


def _pairs(chance: random.Random) -> list[tuple[int, int]]:
    result = []
    at = 0
    for _ in range(chance.choice((0, 1, 2, 3, 5, 30))):
        at += chance.choice((0, 512, 4096, MIB))
        length = chance.choice((0, 1, 512, 1024))
        result.append((at, length))
        at += length
    if chance.random() < 0.3 and result:
        result[chance.randrange(len(result))] = (number(chance), number(chance))
    return result


def _map_records(chance: random.Random, pairs: list[tuple[int, int]]) -> list[tuple[bytes, bytes]]:
    if chance.random() < 0.5:
        return [(b"GNU.sparse.size", b"%d" % 10**7), (b"GNU.sparse.map", b",".join(b"%d,%d" % pair for pair in pairs))]
    records = [(b"GNU.sparse.size", b"%d" % 10**7)]
    for offset, length in pairs:
        records += [(b"GNU.sparse.offset", b"%d" % offset), (b"GNU.sparse.numbytes", b"%d" % length)]
    return records


def _pax(chance: random.Random, records: list[tuple[bytes, bytes]], kind: bytes) -> bytes:
    data = pax.build(records)
    if chance.random() < 0.15:
        data = mutated(chance, data, most=2)
    return header.build(b"pax", kind, size=len(data)) + data.ljust(header.padded(len(data)), b"\0")


def _member(chance: random.Random) -> bytes:
    """Returns a member, with extended headers and a sparse map in one of the four formats or none."""
    pairs = _pairs(chance)
    data = bytes(min(sum(length for _, length in pairs), MIB))
    records = [(chance.choice(_KEYWORDS), text_number(chance)) for _ in range(chance.choice((0, 0, 1, 3)))]
    kind = bytes([chance.choice(_KINDS)]) if chance.random() < 0.4 else b"0"
    form = chance.choice(("dense", "dense", "0.x", "1.0", "old"))
    extra = b""
    if form == "0.x":
        records += _map_records(chance, pairs)
    elif form == "1.0":
        records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"%d" % 10**7)]
        table = b"%d\n" % len(pairs) + b"".join(b"%d\n%d\n" % pair for pair in pairs)
        table = mutated(chance, table, most=2) if chance.random() < 0.2 else table
        data = table.ljust(header.padded(len(table)), b"\0") + data
    if chance.random() < 0.1:
        records.append((chance.choice(_SPARSE), text_number(chance)))
    before = _pax(chance, records, chance.choice((b"x", b"x", b"x", b"g", b"X"))) if records else b""
    block = bytearray(header.build(_name(chance)[:100], kind, size=len(data)))
    if form == "old":
        block, extra = _old(chance, block, pairs)
    if chance.random() < 0.2:
        block = bytearray(mutated(chance, bytes(block), most=2).ljust(512, b"\0")[:512])
    if chance.random() < 0.9:
        block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * ord(" "))
    return before + block + extra + data.ljust(header.padded(len(data)), b"\0")


def _old(chance: random.Random, block: bytearray, pairs: list[tuple[int, int]]) -> tuple[bytearray, bytes]:
    fields = b"".join(b"%011o\0%011o\0" % (a % 8**11, b % 8**11) for a, b in pairs)
    block[156:157] = b"S"
    block[257:265] = b"ustar  \0"
    block[345:512] = bytes(167)
    block[386:482] = fields[:96].ljust(96, b"\0")
    block[482] = len(pairs) > 4 or chance.random() < 0.1
    block[483:495] = b"%011o\0" % 10**7
    rest = fields[96:]
    extension = b""
    while rest:
        part, rest = rest[:504], rest[504:]
        extension += part.ljust(504, b"\0") + bytes([bool(rest)]) + bytes(7)
    return block, extension


def make_tar(chance: random.Random) -> bytes:
    """Returns an archive."""
    data = b"".join(_member(chance) for _ in range(chance.randint(0, 4))) + header.END
    return mutated(chance, data) if chance.random() < 0.3 else data


def read_tar(path: Path) -> None:
    """Reads an archive into a tree."""
    read_archive(path)


def _ar(members: list[tuple[bytes, bytes]], chance: random.Random) -> bytes:
    result = b"!<arch>\n"
    for name, data in members:
        size = text_number(chance)[:10] if chance.random() < 0.1 else b"%d" % len(data)
        result += b"%-16s%-12d%-6d%-6d%-8s%-10s`\n" % (name, chance.choice((0, 10**9)), 0, 0, b"100644", size)
        result += data + b"\n" * (len(data) % 2)
    return result


def make_deb(chance: random.Random) -> bytes:
    """Returns a Debian package."""
    fields = [b"Package: a", b"Version: 1:2-3", b"Architecture: all", b"Depends: b (>= 1), c | d", b"Description: x"]
    control = b"\n".join(chance.sample(fields, chance.randint(0, len(fields))) + [b" more", b""] * chance.randint(0, 2))
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        info = tarfile.TarInfo(chance.choice(("./control", "control", "md5sums")))
        control = mutated(chance, control, most=2)
        info.size = len(control)
        tar.addfile(info, io.BytesIO(control))
    pack: Callable[[bytes], bytes] = chance.choice((gzip.compress, bytes))
    suffix = b".gz" if pack is gzip.compress else chance.choice((b"", b".xz", b".zst", b".gz"))
    inner = [mutated(chance, output.getvalue(), most=1), make_tar(chance)]
    members = [(b"debian-binary", chance.choice((b"2.0\n", b"2.0\n", b"2.0\n", b"3.0\n", b"")))]
    members += [(b"control.tar" + suffix, pack(inner[0])), (b"data.tar" + suffix, pack(inner[1]))]
    if chance.random() < 0.1:
        chance.shuffle(members)
    data = _ar(members, chance)
    return mutated(chance, data, most=3) if chance.random() < 0.5 else data


def read_deb(path: Path) -> None:
    """Reads the control fields and the members of a package."""
    with Deb(path) as deb:
        deb.control()
        with deb.data() as tar:
            for _ in tar:
                pass


@functools.cache
def _update() -> tuple[bytes, Trust, bytes]:
    """Returns a signed update image as small as the format allows, the trust in its key, and its manifest."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - slow
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    folder = Path(tempfile.mkdtemp(prefix="fuzz-keys-"))
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pem").write_bytes(pem)
    keys = update_keys.read_keys(str(folder))
    images = Image.from_bytes(b"boot" + bytes(MIB - 4)), Image.from_bytes(b"root" + bytes(MIB - 4))
    described = (describe_image("boot.img", images[0]), describe_image("root.img", images[1], "0" * 64))
    names = {"product": "guestos", "variant": "dev", "architecture": "x86_64", "version": "1.2.3"}
    text = encode(Manifest(**names, layout=None, images=described))
    signature = f"ed25519 {keys.trusted[0].id} {key.sign(text).hex()}\n".encode()
    members = [("manifest.json", Image.from_bytes(text)), ("manifest.json.sig", Image.from_bytes(signature))]
    members += [("boot.img", images[0]), ("root.img", images[1]), ("VERSION.TXT", Image.from_bytes(b"1.2.3\n"))]
    archive = archive_of([Member.of(name, image) for name, image in members]).image
    return archive.read(0, archive.size), Trust(keys, dt.date(2026, 6, 1)), text


def make_update(chance: random.Random) -> bytes:
    """Returns an update image; most changes are before its signature, which is what a stranger can reach."""
    data = _update()[0]
    end = data.index(b"root.img\0") if chance.random() < 0.8 else len(data)
    if chance.random() < 0.3:
        return make_tar(chance)
    changed = mutated(chance, data[:end], most=3) + data[end:]
    return gzip.compress(changed, 1) if chance.random() < 0.05 else changed


def read_update(path: Path) -> None:
    """Reads all pieces of an update image; what is accepted must be what was signed."""
    expected, trust, _ = _update()
    with open_archive(str(path), trust) as update:
        for image in (update.manifest.boot, update.manifest.root):
            for piece in update.pieces(image):
                if piece.data is not None and piece.data[:512] not in expected:
                    raise AssertionError("a piece that was not signed was accepted")
        update.finish()


def make_manifest(chance: random.Random) -> bytes:
    """Returns a manifest of an update image."""
    text = _update()[2]
    if chance.random() < 0.5:
        return mutated(chance, text, most=3)
    values = json.loads(text)
    for _ in range(chance.randint(1, 3)):
        place = chance.choice((values, *values["images"])) if isinstance(values.get("images"), list) else values
        if isinstance(place, dict):
            key = chance.choice((*place, "other"))
            place[key] = chance.choice((None, True, 1.5, -1, number(chance), "", "x" * 200, [], {}, [None], "0" * 64))
    return json.dumps(values).encode()


def read_manifest(path: Path) -> None:
    """Parses a manifest."""
    manifest.parse(path.read_bytes())


_BOOTSTRAP_NAMES = (
    "network.conf",
    "nns.conf",
    "ic_crypto/x",
    "ic_registry_local_store/a/b",
    "accounts_ssh_authorized_keys/admin",
    "nns_public_key.pem",
    "../x",
    "/etc/passwd",
    "ic_crypto",
    "CONFIGURED",
    "a\x00b",
)


def make_bootstrap(chance: random.Random) -> bytes:
    """Returns a bootstrap archive."""
    if chance.random() < 0.3:
        return make_tar(chance)
    output = io.BytesIO()
    names = _BOOTSTRAP_NAMES[:6] if chance.random() < 0.3 else _BOOTSTRAP_NAMES
    with tarfile.open(fileobj=output, mode="w", format=chance.choice((0, 1, 2))) as tar:
        for _ in range(chance.randint(0, 5)):
            info = tarfile.TarInfo(chance.choice(names))
            info.type = chance.choice((b"0", b"0", b"0", b"0", b"5", b"1", b"2", b"3", b"6"))
            info.linkname = "network.conf"
            data = chance.choice(WORDS)
            info.size = len(data) if info.type == b"0" else 0
            tar.addfile(info, io.BytesIO(data) if info.size else None)
    return mutated(chance, output.getvalue(), most=3) if chance.random() < 0.8 else output.getvalue()


def read_bootstrap(path: Path) -> None:
    """Imports a bootstrap archive into a directory; all files belong to the caller, and nothing is synced."""
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
        mock.patch.object(bootstrap, "owner_of", return_value=(os.geteuid(), os.getegid())),
        mock.patch.object(os, "sync"),
        mock.patch.object(os, "fsync"),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        for parent in {bootstrap.CONFIG, *(place.parent for place in bootstrap.MEMBERS.values())}:
            Path(folder, parent.relative_to("/")).mkdir(parents=True, exist_ok=True)
        bootstrap.import_archive(path, Path(folder))


TARGETS = {
    "bootstrap": Target(make_bootstrap, read_bootstrap, (GuestError,)),
    "deb": Target(make_deb, read_deb, (UserError,)),
    "manifest": Target(make_manifest, read_manifest, (GuestError,)),
    "tar": Target(make_tar, read_tar, (UserError,)),
    "update": Target(make_update, read_update, (GuestError,)),
}
