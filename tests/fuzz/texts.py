"""Fuzz targets for texts and small files: layouts, accounts, labels, configuration, boot state, locks, versions."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from guestos import boot_state, grubenv, network, slots, update_keys, versions
from guestos.environment import Environment
from guestos.errors import GuestError

from tests.fuzz.target import Target, document, lines, mutated, number
from tools.core.errors import UserError
from tools.debian.archive_urls import archive_urls, parse_time
from tools.debian.lock import FORMAT, check_lock, locked_versions
from tools.debian.manifest import Manifest, read_manifest
from tools.debian.versions import compare_versions
from tools.gpt.disk import minimum_disk_size
from tools.gpt.layout import read_layout
from tools.rootfs.sysusers import parse_sysusers
from tools.tree.selinux import FileContexts

_CSV = (b"name,start,size,type,uuid,comment", b"a,,65536,L,,", b"# comment", b'"b, c",4096,,L,,')
_CSV += (b"esp,2048,204800,U,B78084E2-3363-1346-8C25-D426F26B8928,EFI",)
_CSV += (b"grow,,,0FC63DAF-8483-4772-8E79-3D69D8477DE4,,",)
_CONTEXTS = (b"/usr/bin(/.*)?\tsystem_u:object_r:bin_t:s0", b"/etc/.*\t--\tu:r:etc_t:s0", b"/tmp\t-d\t<<none>>", b"#")
_CONTEXTS += (b"/var/[^/]+/x(a|b)*\t-l\tu:r:t", b"/a\\.b\t-s\tu:r:t", b"/home/[a-z]?.\tu:r:t")
_ACCOUNTS = (b'u admin 1000:100 "The admin" /home/admin /bin/sh', b"g disk 6", b"m admin disk", b"u! x 5", b"# x")
_NETWORK = (b"ipv6_address=2001:db8::2/64", b"ipv6_gateway=2001:db8::1", b"name_servers=1.1.1.1 2606:4700::1111")
_NETWORK += (b"hostname=node1", b"# comment", b"ipv6_gateway=fe80::1%eth0")
_TOML = (b'architectures = ["amd64"]', b"[archives.debian]", b'mirrors = ["https://deb.debian.org/debian"]')
_TOML += (
    b'snapshots = "https://snapshot.debian.org/archive/debian/{time}"',
    b'keyring = "a.asc"',
    b'suites = ["trixie"]',
)
_TOML += (b'components = ["main"]', b"[sets.base]", b'packages = ["bash"]', b"essential = true")
_VERSIONS = (b"1.0", b"1:2.3-4", b"2~rc1+b2", b"0", b"1.2.3-4ubuntu1~22.04")


def make_csv(chance: random.Random) -> bytes:
    """Returns a partitions.csv."""
    body = (document if chance.random() < 0.5 else lines)(chance, _CSV[1:], (b",", b";", b", "))
    return body if chance.random() < 0.1 else _CSV[0] + b"\n" + body


def read_csv(path: Path) -> None:
    """Reads a layout, and computes its size."""
    minimum_disk_size(read_layout(path))


def read_contexts(path: Path) -> None:
    """Reads rules, and looks some paths up."""
    contexts = FileContexts.read([str(path)])
    for name in (b"/usr/bin/x", b"/etc/passwd", b"/tmp", b"/var/" + b"x" * 30, b"/home/" + b"a" * 30):
        for kind in (stat.S_IFREG, stat.S_IFDIR):
            with contextlib.suppress(UserError):  # no rule matches
                contexts.context(name, kind)


def read_sysusers(path: Path) -> None:
    """Reads accounts as the build does, from a file in UTF-8."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(str(error)) from error
    parse_sysusers(text, path.name)


def make_grubenv(chance: random.Random) -> bytes:
    """Returns an environment block, in most cases of 1024 bytes."""
    names = (b"boot_alternative=A", b"boot_cycle=stable", b"confirmed_slot=B", b"x=\\\\", b"boot_cycle=first_boot")
    text = b"# GRUB Environment Block\n" * (chance.random() < 0.9) + lines(chance, names, (b"=",))
    size = 1024 if chance.random() < 0.9 else chance.randrange(1100)
    return text.ljust(1024, chance.choice((b"#", b"#", b"\0")))[:size]


def read_grubenv(path: Path) -> None:
    """Reads a block, and the boot state from it; whatever it is, a slot is chosen."""
    try:
        variables = grubenv.parse(path.read_bytes())
        grubenv.parse(grubenv.serialize(variables))
    finally:
        decision = boot_state.decide(boot_state.read(str(path)))
        if decision.slot not in boot_state.SLOTS:
            raise AssertionError(f"no slot is chosen: {decision}")


def read_network(path: Path) -> None:
    """Parses a network.conf, and writes what systemd-networkd reads."""
    network.networkd_file(network.parse(path.read_bytes().decode("utf-8", "replace"), path.name), "enp1s0")


def make_key(chance: random.Random) -> bytes:
    """Returns a public key of updates with comments before it."""
    pem = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    pem += b"-----END PUBLIC KEY-----\n"
    samples = (b"Expires: 2030-12-31", b"# a comment", b"Expires: 2030-02-30", b"Expires:")
    return mutated(chance, lines(chance, samples, (b" ", b"-")) + pem, most=2)


def read_key(path: Path) -> None:
    """Reads a directory of keys, and the same text as the list of revoked keys."""
    folder = path.parent / "keys"
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder / "a.pem")
    update_keys.read_keys(str(folder))


def make_record(chance: random.Random) -> bytes:
    """Returns the record of a slot."""
    values: dict[str, object] = {
        "state": "ready",
        "version": "1.0",
        "manifest": "0" * 64,
        "problem": "",
    }
    for _ in range(chance.randint(0, 3)):
        key = chance.choice((*values, "other"))
        values[key] = chance.choice((None, 1, -1.5, number(chance), "", "committed", "x" * 300, [], {}, ["a"], True))
    return mutated(chance, json.dumps(values).encode(), most=1)


def read_record(path: Path) -> None:
    """Reads the record of a slot, which counts as failed where it is damaged, and its manifest."""
    config = path.parent / "config"
    (config / "slots").mkdir(parents=True, exist_ok=True)
    for name in ("A.json", "A.manifest.json"):
        shutil.copy(path, config / "slots" / name)
    environment = Environment(config=str(config))
    known = slots.read(environment, "A")
    if known is None or known.state not in slots.STATES:
        raise AssertionError(f"a record without a known state: {known}")
    with contextlib.suppress(GuestError):  # it is no manifest
        slots.read_manifest(environment, "A", known)


@functools.cache
def _manifest() -> Manifest:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(b"\n".join(_TOML))
        file.flush()
        return read_manifest(Path(file.name))


def make_lock(chance: random.Random) -> bytes:
    """Returns a lock of Debian packages, with other values in some places."""
    package: dict[str, object] = {"name": "bash", "version": "1", "architecture": "amd64", "archive": "debian"}
    package |= {"path": "bash.deb", "sha256": "ab" * 32, "size": 1}
    packages: dict[str, object] = {"bash_amd64": package}
    released = {"trixie": "2025-01-01T00:00:00Z"}
    urls = archive_urls(_manifest().archives["debian"], map(parse_time, released.values()))
    archive: dict[str, object] = {"urls": urls, "released": released}
    base: dict[str, object] = {"provided": [], "packages": {"amd64": ["bash_amd64"]}}
    values: dict[str, object] = {"format": FORMAT, "manifest": _manifest().digest(), "packages": packages}
    values |= {"archives": {"debian": archive}, "sets": {"base": base}}
    for _ in range(chance.randint(0, 2)):
        place: Any = chance.choice((values, packages, package, archive, released, base))
        place[chance.choice((*place, "x"))] = chance.choice((None, number(chance), "", [], {}, {"a": None}, True))
    text = json.dumps(values).encode()
    return mutated(chance, text, most=2) if chance.random() < 0.5 else text


def read_lock(path: Path) -> None:
    """Checks a lock."""
    locked_versions(path)
    check_lock(_manifest(), path, "update")


def read_toml(path: Path) -> None:
    """Reads the manifest of a lock."""
    read_manifest(path)


def read_versions(path: Path) -> None:
    """Compares versions as the guest does, and as dpkg does if their epochs are numbers."""
    texts = path.read_bytes().decode("utf-8", "replace").split("\n")
    sorted(texts, key=versions.key)
    for one in texts:
        for other in texts:
            if (compare_versions(one, other) > 0) != (compare_versions(other, one) < 0):
                raise AssertionError(f"{one!r} and {other!r} have no order")


def _lines_target(
    samples: Sequence[bytes], separators: Sequence[bytes], read: Callable[[Path], None], error: type[Exception]
) -> Target:
    def make(chance: random.Random) -> bytes:
        return (document if chance.random() < 0.5 else lines)(chance, samples, separators)

    return Target(make, read, (error,))


TARGETS = {
    "csv": Target(make_csv, read_csv, (UserError,)),
    "file_contexts": _lines_target(_CONTEXTS, (b"\t", b" "), read_contexts, UserError),
    "grubenv": Target(make_grubenv, read_grubenv, (GuestError, ValueError)),
    "keys": Target(make_key, read_key, (GuestError,)),
    "lock": Target(make_lock, read_lock, (UserError,)),
    "network": _lines_target(_NETWORK, (b"=", b" = "), read_network, GuestError),
    "packages_toml": _lines_target(_TOML, (b" = ", b"="), read_toml, UserError),
    "slot_record": Target(make_record, read_record, (GuestError,)),
    "sysusers": _lines_target(_ACCOUNTS, (b" ", b"\t"), read_sysusers, UserError),
    "versions": _lines_target(_VERSIONS, (b".", b"-", b":", b"~"), read_versions, ValueError),
}
