"""Writes the medium that brings a new machine its configuration: a FAT file system with ic-bootstrap.tar.

The guest takes it in on its first boot, and says in guestos/bootstrap.py what it accepts. What goes to network.conf is
checked by the guest's own parser.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import stat
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from guestos import bootstrap, network
from guestos.bootstrap import ACCOUNT_KEYS, ARCHIVE
from guestos.errors import GuestError

from guestos_tools.options import Parser, run
from tools.core.errors import UserError
from tools.fat.writer import Options, fat_image
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.tree.node import Directory, File
from tools.tree.tar_writer import tar_image

PROGRAM = "build-bootstrap-config-image.sh"
SIZE = 10 << 20
"""Of the medium, in bytes."""

_FORMAT = Options(size=SIZE, volume_id=0x1CE50003, label="CONFIG")
_KEY_TYPES = re.compile(r"(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( |$)")
"""What every public key of OpenSSH has, after options that may stand before it (sshd(8), AUTHORIZED_KEYS)."""


def _text(value: str) -> str:
    if not value or not value.isprintable():
        raise UserError("must be one line of text that is not empty")
    return value


def _number(value: str) -> str:
    if not re.fullmatch("[0-9]+", value):
        raise UserError(f"{value!r} is not a whole number of seconds")
    return value


def _url(schemes: tuple[str, ...]) -> Callable[[str], str]:
    def check(value: str) -> str:
        for url in _text(value).split(","):
            try:
                parts = urllib.parse.urlsplit(url)
                known = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            except ValueError:
                known = False
            if not known or " " in url:
                raise UserError(f"{url!r} is not a URL that begins with {' or '.join(s + '://' for s in schemes)}")
        return value

    return check


def _json(kind: type, what: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        try:
            right = isinstance(json.loads(_text(value)), kind)
        except ValueError:
            right = False
        if not right:
            raise UserError(f"{value!r} is not {what}")
        return value

    return check


@dataclass(frozen=True, slots=True)
class Setting:
    """An option that becomes a line of a file.

    Attributes:
        file: in the archive.
        key: of the line, and name of the option unless that has one of its own.
        placeholder: stands for the value in --help.
        help: what the value is.
        check: returns the value, or raises a UserError.
        option: its name.
    """

    file: str
    key: str
    placeholder: str
    help: str
    check: Callable[[str], str] = _text
    option: str = ""

    @property
    def name(self) -> str:
        """Name of the option, without dashes."""
        return self.option or self.key


SETTINGS = (
    Setting("network.conf", "ipv6_address", "ADDRESS[/PREFIX]", "of the machine; router advertisements are not needed"),
    Setting("network.conf", "ipv6_gateway", "ADDRESS", "of the router; needs --ipv6_address"),
    Setting("network.conf", "name_servers", "ADDRESSES", "of name servers, separated by spaces or commas"),
    Setting("network.conf", "hostname", "NAME", "of the machine"),
    Setting("nns.conf", "nns_url", "URLS", "of NNS nodes, separated by commas", _url(("http", "https"))),
    Setting(
        "replica_log_debug_overrides.conf",
        "replica_log_debug_overrides",
        "JSON",
        "a list of the modules of the replica that log at debug level",
        _json(list, "a list in JSON"),
    ),
    Setting("log.conf", "elasticsearch_hosts", "HOSTS", "where logs are sent to"),
    Setting("log.conf", "elasticsearch_tags", "TAGS", "what the logs are tagged with"),
    Setting(
        "backup.conf",
        "backup_retention_time_secs",
        "SECONDS",
        "how long backups of consensus artifacts are kept",
        _number,
        "backup_retention_time",
    ),
    Setting(
        "backup.conf",
        "backup_purging_interval_secs",
        "SECONDS",
        "how often old backups are looked for",
        _number,
        "backup_purging_interval",
    ),
    Setting("socks_proxy.conf", "socks_proxy", "URL", "of a SOCKS proxy", _url(("socks5", "socks5h"))),
    Setting(
        "malicious_behavior.conf",
        "malicious_behavior",
        "JSON",
        "how the replica is to misbehave, for tests",
        _json(dict, "an object in JSON"),
    ),
)

_FOLDERS = {
    "ic_crypto": "folder that becomes the store of the node's cryptographic keys",
    "ic_registry_local_store": "folder with the registry as it is known so far",
    ACCOUNT_KEYS: "folder with a file for each account, named as the account, of the SSH keys that may log in",
}
_PUBLIC_KEY = "nns_public_key"


def content(arguments: argparse.Namespace) -> Directory:
    """Returns what the archive holds.

    Raises:
        UserError: an option's value is wrong, or a file cannot be taken; the message names the option.
    """
    root = Directory()
    lines: dict[str, list[str]] = {}
    for setting in SETTINGS:
        value = getattr(arguments, setting.name)
        if value is not None:
            with _naming(setting.name):
                lines.setdefault(setting.file, []).append(f"{setting.key}={setting.check(value)}\n")
    for name, texts in lines.items():
        root.entries[name.encode()] = File(content=Image.from_bytes("".join(texts).encode()))
    _check_options("".join(lines.get("network.conf", [])))
    if getattr(arguments, _PUBLIC_KEY) is not None:
        with _naming(_PUBLIC_KEY):
            root.entries[b"nns_public_key.pem"] = _public_key(getattr(arguments, _PUBLIC_KEY))
    for name in _FOLDERS:
        if getattr(arguments, name) is not None:
            with _naming(name):
                root.entries[name.encode()] = _folder(getattr(arguments, name))
                if name == ACCOUNT_KEYS:
                    _check_account_keys(getattr(arguments, name))
    if not root.entries:
        raise UserError("there is nothing to configure: give at least one option; --help lists them")
    return root


def content_of_folder(path: str) -> Directory:
    """Returns what the archive holds, from a directory with the members of the archive.

    Args:
        path: of the directory; its files and directories have the names that `guestos.bootstrap` accepts.

    Raises:
        UserError: a member has another name, or its content is wrong.
        OSError: a file cannot be read.
    """
    root = _folder(path)
    folders = {ACCOUNT_KEYS, *bootstrap.MOVED}
    for name, node in root.sorted_entries():
        expected = folders if isinstance(node, Directory) else bootstrap.FILES
        if os.fsdecode(name) not in expected:
            raise UserError(
                f"{os.path.join(path, os.fsdecode(name))}: is not part of a configuration, which has the files "
                f"{', '.join(bootstrap.FILES)} and the directories {', '.join(sorted(folders))}"
            )
    if b"network.conf" in root.entries:
        _check_network(Path(path, "network.conf").read_text("utf-8", "replace"), os.path.join(path, "network.conf"))
    if b"nns_public_key.pem" in root.entries:
        _public_key(os.path.join(path, "nns_public_key.pem"))
    if ACCOUNT_KEYS.encode() in root.entries:
        _check_account_keys(os.path.join(path, ACCOUNT_KEYS))
    return root


def read_account_keys(path: Path) -> str:
    """Returns the text of a file of public SSH keys, one a line.

    Raises:
        UserError: a line is no public key.
        OSError: the file cannot be read.
    """
    text = path.read_text("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#") and not _KEY_TYPES.search(line):
            raise UserError(f"{path}:{number}: is not a public SSH key, such as ssh-ed25519 AAAA… NAME")
    return text


class _naming:  # noqa: N801 - used as a statement
    """Puts the name of an option before what is wrong with it."""

    def __init__(self, option: str) -> None:
        self._option = option

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, UserError):
            raise UserError(f"--{self._option}: {error}") from error
        if isinstance(error, OSError):
            raise UserError(f"--{self._option}: {error.filename}: {error.strerror}") from error


def _check_options(text: str) -> None:
    """Checks a network.conf that was made of options: messages name the option instead of the line."""
    try:
        _check_network(text, "network.conf")
    except UserError as error:
        raise UserError(re.sub(r"^network\.conf(:[0-9]+)?: (?=[a-z])", "--", str(error))) from error


def _check_network(text: str, origin: str) -> None:
    try:
        network.parse(text, origin)
    except GuestError as error:
        raise UserError(str(error)) from error


def _public_key(path: str) -> File:
    file = _file(path)
    text = file.content.read(0, min(file.content.size, 1 << 16)).decode("ascii", "replace").strip()
    if not re.fullmatch(r"-----BEGIN PUBLIC KEY-----\s[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----", text):
        raise UserError(f"{path}: is not a public key in PEM format")
    return file


def _file(path: str) -> File:
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UserError(f"{path}: is not a regular file")
    return File(content=Image.from_file(path))


def _folder(path: str) -> Directory:
    """Returns a folder of this machine, of which nothing is taken but names and contents."""
    root = Directory()
    for name, inner in _entries(path):
        root.entries[name] = inner
    return root


def _entries(path: str) -> Iterator[tuple[bytes, Directory | File]]:
    for name in sorted(os.listdir(path)):
        place = os.path.join(path, name)
        mode = os.lstat(place).st_mode
        if stat.S_ISDIR(mode):
            yield os.fsencode(name), _folder(place)
        elif stat.S_ISREG(mode):
            yield os.fsencode(name), _file(place)
        else:
            raise UserError(f"{place}: is neither a file nor a folder; the machine takes nothing else")


def _check_account_keys(folder: str) -> None:
    for path in sorted(Path(folder).iterdir()):
        if not path.is_file() or not re.fullmatch("[a-z_][a-z0-9_-]*", path.name):
            raise UserError(f"{path}: must be a file that is named as an account, such as admin")
        read_account_keys(path)


def medium(root: Directory) -> Image:
    """Returns the image of a medium.

    Args:
        root: what the archive holds.

    Raises:
        UserError: it doesn't fit.
    """
    archive = tar_image(root)
    try:
        return fat_image(Directory(entries={ARCHIVE.encode(): File(content=archive)}), _FORMAT)
    except UserError as error:
        if archive.size < SIZE // 2:
            raise
        raise UserError(f"the configuration takes {archive.size} bytes, too many for a medium of {SIZE}") from error


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(
        PROGRAM,
        f"Writes OUT, a medium of {SIZE >> 20} MiB that brings a new machine its configuration. Attached to the\n"
        "machine as a removable disk, it is taken in on the first boot, and never again. What isn't given is\n"
        "left as the image has it: without --ipv6_address, the address comes from router advertisements.",
        "example:\n"
        f"  ./{PROGRAM} --hostname node1 --ipv6_address 2001:db8::2/64 --ipv6_gateway 2001:db8::1 \\\n"
        "      --accounts_ssh_authorized_keys keys config.img\n"
        "  qemu-system-x86_64 … -drive file=config.img,format=raw,readonly=on,if=none,id=config \\\n"
        "      -device virtio-scsi-pci -device scsi-hd,drive=config,removable=on",
    )
    for setting in SETTINGS:
        result.add_argument(f"--{setting.name}", metavar=setting.placeholder, help=setting.help)
    result.add_argument(f"--{_PUBLIC_KEY}", metavar="FILE", help="public key of the NNS, in PEM format")
    for name, text in _FOLDERS.items():
        result.add_argument(f"--{name}", metavar="FOLDER", help=text)
    result.add_argument("out", metavar="OUT", help="the file to write")
    return result


def main(arguments: Sequence[str]) -> None:
    """Writes the medium that the arguments describe."""
    given = parser().parse_args(arguments)
    folder = os.path.dirname(given.out) or "."
    if not given.out or not os.path.isdir(folder):
        raise UserError(f"OUT: there is no folder {folder}" if given.out else "OUT: is empty")
    write_raw(medium(content(given)), given.out)


if __name__ == "__main__":
    run(PROGRAM, main)
