"""Writes the medium that brings a new machine its configuration: a FAT file system with ic-bootstrap.tar.

The guest imports it on its first boot; guestos/bootstrap.py lists what it accepts. What goes to network.conf is checked
by the guest's own parser. bootstrap_settings.py has the options that become lines of files.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from guestos import bootstrap, bootstrap_signature, network, signatures, ssh_keys
from guestos.bootstrap import ACCOUNT_KEYS, ARCHIVE
from guestos.errors import GuestError

from guestos_tools.bootstrap_limits import check_archive
from guestos_tools.bootstrap_settings import SETTINGS
from guestos_tools.options import Parser, run, say
from tools.core.errors import UserError
from tools.fat.writer import Options, fat_image
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.tree.node import Directory, File, Node
from tools.tree.tar_writer import tar_image

PROGRAM = "build-bootstrap-config-image.sh"
SIZE = 10 << 20
"""Of the medium, in bytes, unless it needs more."""

_MAX_ARCHIVE = (1 << 32) - 1
"""The largest file of a FAT file system, in bytes."""

_ACCOUNTS = ("root", *ssh_keys.READABLE)
"""Those that can log in on a machine; root on one of dev alone."""

_SECRET = tuple(name for name, place in bootstrap.MEMBERS.items() if not place.mode & 0o077)
"""Members with private keys."""

_FORMAT = Options(size=SIZE, volume_id=0x1CE50003, label="CONFIG")
_KEY_TYPES = re.compile(r"(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( |$)")
"""What every public key of OpenSSH has, after options that may stand before it (sshd(8), AUTHORIZED_KEYS)."""


@dataclass(frozen=True, slots=True)
class _Input:
    """An option with a file or folder of this machine, which becomes a member of the archive.

    Attributes:
        option: the option's name without hyphens.
        member: the name in the archive.
        help: what it is; empty if nothing on a machine reads it, and --help doesn't offer it.
        check: checks the file or folder of a path; raises a UserError.
    """

    option: str
    member: str
    help: str
    check: Callable[[str], None]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return bootstrap.MEMBERS[self.member].folder_mode is not None


def _inputs() -> tuple[_Input, ...]:
    return (
        _Input("nns_public_key", "nns_public_key.pem", "public key of the NNS, in PEM format", _check_public_key),
        _Input(
            "node_operator_private_key",
            "node_operator_private_key.pem",
            "private key that signs the registration of the node, in PEM format",
            _check_private_key,
        ),
        _Input("ic_crypto", "ic_crypto", "folder with the node's cryptographic keys", _check_nothing),
        _Input(
            "ic_registry_local_store",
            "ic_registry_local_store",
            "folder with the registry as it is known so far",
            _check_nothing,
        ),
        _Input("ic_state", "ic_state", "folder with the replicated state that the node starts with", _check_nothing),
        _Input(
            ACCOUNT_KEYS,
            ACCOUNT_KEYS,
            "folder with a file for each account, named as the account, of the SSH keys that may log in",
            _check_account_keys,
        ),
        _Input("guestos_config", "config.json", "", _check_nothing),
    )


_WITHOUT_EFFECT = ("generate_ic_boundary_tls_cert",)
"""Options of other tools that are accepted, and for which nothing is written."""


def content(arguments: argparse.Namespace) -> Directory:
    """Returns what the archive holds. An option with an empty value counts as not given.

    Raises:
        UserError: an option's value is wrong, or a file cannot be taken; the message names the option.
    """
    root = Directory()
    lines: dict[str, list[str]] = {}
    for setting in SETTINGS:
        if value := getattr(arguments, setting.name):
            with _naming(setting.name):
                lines.setdefault(setting.file, []).append(f"{setting.key}={setting.check(value)}\n")
    for name, texts in lines.items():
        root.entries[name.encode()] = File(content=Image.from_bytes("".join(texts).encode()))
    _check_options("".join(lines.get("network.conf", [])))
    for each in _inputs():
        if path := getattr(arguments, each.option):
            with _naming(each.option):
                root.entries[each.member.encode()] = _folder(path) if each.is_folder else _file(path)
                each.check(path)
    if not root.entries:
        raise UserError("there is nothing to configure: give at least one option; --help lists them")
    return _protected(root)


def _protected(root: Directory) -> Directory:
    """Sets the modes of secrets, which matter to who unpacks the archive by hand; a machine sets its own."""
    for name, node in root.entries.items():
        if os.fsdecode(name) in _SECRET:
            _hide(node)
    return root


def _hide(node: Node) -> None:
    node.permissions = 0o700 if isinstance(node, Directory) else 0o600
    if isinstance(node, Directory):
        for inner in node.entries.values():
            _hide(inner)


def has_secrets(root: Directory) -> bool:
    """Returns whether an archive has private keys."""
    return any(os.fsdecode(name) in _SECRET for name in root.entries)


def content_of_folder(path: str) -> Directory:
    """Returns what the archive holds, from a directory with the members of the archive.

    Args:
        path: of the directory; its files and directories have the names that `guestos.bootstrap` accepts.

    Raises:
        UserError: a member has another name, or its content is wrong.
        OSError: a file cannot be read.
    """
    root = _folder(path)
    for name, node in root.sorted_entries():
        place = bootstrap.MEMBERS.get(os.fsdecode(name))
        if place is None or isinstance(node, Directory) != (place.folder_mode is not None):
            raise UserError(
                f"{os.path.join(path, os.fsdecode(name))}: is not part of a configuration, which has the files "
                f"{', '.join(_names_of(folders=False))} and the directories {', '.join(_names_of(folders=True))}"
            )
    if b"network.conf" in root.entries:
        _check_network(Path(path, "network.conf").read_text("utf-8", "replace"), os.path.join(path, "network.conf"))
    for each in _inputs():
        if each.member.encode() in root.entries:
            each.check(os.path.join(path, each.member))
    return _protected(root)


def _names_of(*, folders: bool) -> list[str]:
    return [name for name, place in bootstrap.MEMBERS.items() if (place.folder_mode is not None) == folders]


def read_account_keys(path: Path) -> str:
    """Returns the text of a file of public SSH keys, one a line.

    Raises:
        UserError: a line is no public key, or a byte order mark is before the first one.
        OSError: the file cannot be read.
    """
    text = path.read_text("utf-8", "replace")
    if text.startswith("\ufeff"):
        raise UserError(f"{path}:1: begins with a byte order mark, which hides this key from sshd; save it without one")
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


def _check_nothing(_path: str) -> None:
    pass


def _check_public_key(path: str) -> None:
    if not re.fullmatch(r"-----BEGIN PUBLIC KEY-----\s[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----", _start_of(path)):
        raise UserError(f"{path}: is not a public key in PEM format")


def _check_private_key(path: str) -> None:
    if not re.search(r"^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----\r?$", _start_of(path), re.MULTILINE):
        raise UserError(f"{path}: is not a private key in PEM format")


def _start_of(path: str) -> str:
    with open(path, "rb") as file:
        return file.read(1 << 16).decode("ascii", "replace").strip()


def _file(path: str) -> File:
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UserError(f"{path}: is not a regular file")
    return File(content=Image.from_file(path))


def _folder(path: str, above: tuple[tuple[int, int], ...] = ()) -> Directory:
    """Returns a folder of this machine, of which nothing is taken but names and contents. Links are followed.

    Args:
        path: of the folder.
        above: device and inode of the folders that contain it, to find a link back to one of them.
    """
    status = os.stat(path)
    identity = status.st_dev, status.st_ino
    if identity in above:
        raise UserError(f"{path}: is a link to a folder that contains it")
    root = Directory()
    for name in sorted(os.listdir(path)):
        place = os.path.join(path, name)
        is_folder = stat.S_ISDIR(os.stat(place).st_mode)
        root.entries[os.fsencode(name)] = _folder(place, (*above, identity)) if is_folder else _file(place)
    return root


def _check_account_keys(folder: str) -> None:
    for path in sorted(Path(folder).iterdir()):
        if not path.is_file() or not re.fullmatch("[a-z_][a-z0-9_-]*", path.name):
            raise UserError(f"{path}: must be a file that is named as an account, such as admin")
        read_account_keys(path)
        if path.name not in _ACCOUNTS:
            say(f"warning: {path}: has no effect, since only {', '.join(_ACCOUNTS)} can log in")


def archive_of(root: Directory) -> Image:
    """Returns the archive.

    Raises:
        UserError: a machine would refuse it, or it is too large for a file of a FAT file system.
    """
    archive = tar_image(root)
    if archive.size > _MAX_ARCHIVE:
        raise UserError(f"the configuration has {archive.size} bytes; a machine takes up to {_MAX_ARCHIVE}")
    check_archive(archive)
    return archive


def medium(root: Directory, signature: bytes | None = None) -> Image:
    """Returns the image of a medium: of 10 MiB, or as much more as the archive needs.

    Args:
        root: what the archive holds.
        signature: the file of signatures of the archive; None for a medium without one.

    Raises:
        UserError: a machine would refuse the archive, or it is too large for a file of a FAT file system.
    """
    archive = archive_of(root)
    size = max(SIZE, 2 * archive.size + (1 << 20) >> 20 << 20)
    options = dataclasses.replace(_FORMAT, size=size)
    files = Directory(entries={ARCHIVE.encode(): File(content=archive)})
    if signature is not None:
        files.entries[f"{ARCHIVE}{bootstrap_signature.SUFFIX}".encode()] = File(content=Image.from_bytes(signature))
    return fat_image(files, options)


def _read_signature(path: str) -> bytes:
    with open(path, "rb") as file:
        data = file.read(signatures.MOST_BYTES + 1)
    lines = data.decode("ascii", "replace").splitlines()
    if len(data) > signatures.MOST_BYTES or not lines or not all(signatures.LINE.fullmatch(line) for line in lines):
        raise UserError(f"{path}: is not a file of signatures; //tools/commands:upgrade_signature writes one")
    return data


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(
        PROGRAM,
        f"Writes OUT, a medium of {SIZE >> 20} MiB, or more if needed, that brings a new machine its configuration.\n"
        "Attached to the machine as a removable disk, it is imported on the first boot, and never again. What isn't\n"
        "given is left as the image has it: without --ipv6_address, the address comes from router advertisements.\n"
        "A medium with private keys is readable by its owner only.",
        "example:\n"
        f"  ./{PROGRAM} config.img --hostname node1 --ipv6_address 2001:db8::2/64 \\\n"
        "      --ipv6_gateway 2001:db8::1 --accounts_ssh_authorized_keys keys\n"
        "  qemu-system-x86_64 … -drive file=config.img,format=raw,readonly=on,if=none,id=config \\\n"
        "      -device virtio-scsi-pci -device scsi-hd,drive=config,removable=on",
    )
    result.add_argument("-t", "--tar", action="store_true", help="write the archive instead of a medium with it")
    for setting in SETTINGS:
        _add(result, setting.name, setting.placeholder, setting.help, setting.aliases)
    for each in _inputs():
        _add(result, each.option, "FOLDER" if each.is_folder else "FILE", each.help)
    for name in _WITHOUT_EFFECT:
        _add(result, name, "VALUE", "")
    result.add_argument(
        "--signature",
        metavar="FILE",
        help="signatures of the archive that -t writes of the same options, for machines that take signed media alone",
    )
    result.add_argument("out", metavar="OUT", help="the file to write")
    return result


def _add(parser: Parser, name: str, placeholder: str, text: str, aliases: tuple[str, ...] = ()) -> None:
    """Adds an option; its aliases, and options without a text, are accepted and not in --help."""
    parser.add_argument(f"--{name}", metavar=placeholder, help=text or argparse.SUPPRESS)
    for alias in aliases:
        parser.add_argument(f"--{alias}", dest=name, help=argparse.SUPPRESS)


def _unread(arguments: argparse.Namespace) -> list[str]:
    """Returns the options that were given and that nothing on a machine reads."""
    names = [*(s.name for s in SETTINGS if not s.help), *(i.option for i in _inputs() if not i.help), *_WITHOUT_EFFECT]
    return [name for name in names if getattr(arguments, name)]


def main(arguments: Sequence[str]) -> None:
    """Writes the medium that the arguments describe."""
    given = parser().parse_args(arguments)
    folder = os.path.dirname(given.out) or "."
    if not given.out or not os.path.isdir(folder):
        raise UserError(f"OUT: there is no folder {folder}" if given.out else "OUT: is empty")
    root = content(given)
    for name in _unread(given):
        say(f"{PROGRAM}: warning: --{name}: has no effect, since nothing on a machine reads it")
    signature = None
    if given.signature:
        if given.tar:
            raise UserError("--signature: is for a medium; -t writes an archive alone, which is signed after that")
        with _naming("signature"):
            signature = _read_signature(given.signature)
    write_raw(archive_of(root) if given.tar else medium(root, signature), given.out, secret=has_secrets(root))


if __name__ == "__main__":
    run(PROGRAM, main)
