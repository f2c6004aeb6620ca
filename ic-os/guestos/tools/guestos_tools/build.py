"""Builds images of the GuestOS without Bazel: what the scripts that do it have in common."""

from __future__ import annotations

import contextlib
import os
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guestos_tools.description import GUESTOS, WORKSPACE, image_constants
from guestos_tools.download import Policy
from guestos_tools.options import Parser, say
from guestos_tools.packages import Packages
from guestos_tools.plan import read_plan
from guestos_tools.reference_payload import write_programs
from guestos_tools.runner import Runner
from guestos_tools.update_key_list import update_keys_text
from guestos_tools.wheels import CACHE_VARIABLE, LOCK, Wheels, cache_folder
from tools.core.errors import UserError

_DISTRIBUTIONS = ("debian", "ubuntu")
_DOWNLOADED = WORKSPACE / "artifacts" / "release"
_TEST_KEY = GUESTOS / "update-keys" / "test-only.pem"
_PLAN = GUESTOS / "plan" / "images.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to build.

    Attributes:
        variant: `dev` or `prod`.
        distribution: `debian` or `ubuntu`.
        version: of the image.
        password: of root, for `dev`.
        executables: folder with the release binaries; None for the reference payload.
        update_keys: public keys that `prod` takes upgrades by.
        signing_keys: private keys that sign upgrades of `prod`.
    """

    variant: str
    distribution: str = "debian"
    version: str = field(default_factory=lambda: image_constants()["DEFAULT_VERSION"])
    password: str = field(default_factory=lambda: image_constants()["DEV_PASSWORD"])
    executables: Path | None = None
    update_keys: Sequence[Path] = ()
    signing_keys: Sequence[Path] = ()


def add_options(parser: Parser) -> None:
    """Adds the options that say what to build."""
    parser.add_argument("-v", metavar="VERSION", help="what the image says of itself (default: 0.0.0)")
    parser.add_argument("-t", metavar="TYPE", choices=("dev", "prod"), default="dev", help="dev (default) or prod")
    parser.add_argument("-p", metavar="PASSWORD", help="of root, for dev only (default: root)")
    parser.add_argument(
        "-x",
        metavar="EXECDIR",
        help="folder with the release binaries (default: artifacts/release, if get-artifacts.sh filled it, else the "
        "reference payload)",
    )
    parser.add_argument(
        "-d",
        "--distribution",
        metavar="DISTRIBUTION",
        choices=_DISTRIBUTIONS,
        default=_DISTRIBUTIONS[0],
        help="whose packages: debian (13, trixie; default) or ubuntu (24.04, noble)",
    )
    parser.add_argument(
        "--update-key",
        metavar="PEM",
        action="append",
        default=[],
        help="public key by which machines accept upgrades; prod needs one, and may have more",
    )
    parser.add_argument(
        "--without-update-keys",
        action="store_true",
        help="build prod without one: its machines accept no upgrade, ever",
    )
    parser.add_argument(
        "--signing-key",
        metavar="PEM",
        action="append",
        default=[],
        help="private key that signs the upgrade image; that of prod needs one, and may have more",
    )
    parser.add_argument(
        "--unsigned", action="store_true", help="build the upgrade image of prod without one: no machine accepts it"
    )


def request(given: Namespace, *, is_signed: bool) -> Request:
    """Returns what options ask for.

    Args:
        given: the options that `add_options` adds.
        is_signed: whether the image has a signature, if there is a key.

    Raises:
        UserError: one of them is wrong.
    """
    wanted: dict[str, Any] = {}
    if given.v is not None:
        wanted["version"] = _version(given.v)
    if given.p is not None:
        wanted["password"] = _password(given.p, given.t)
    result = Request(
        variant=given.t,
        distribution=given.distribution,
        executables=_executables(given.x),
        update_keys=_keys("--update-key", given.update_key, given.t),
        signing_keys=_keys("--signing-key", given.signing_key, given.t),
        **wanted,
    )
    _check_keys(given, is_signed=is_signed)
    return result


def _version(version: str) -> str:
    if not version or not set(version) <= set(image_constants()["VERSION_CHARACTERS"]):
        raise UserError(f"-v: {version!r} is not a version; it has one or more letters, digits and . _ -")
    return version


def _password(password: str, variant: str) -> str:
    if variant == "prod":
        raise UserError("-p: production has no passwords; leave it out, or build -t dev")
    if not password or not password.isprintable():
        raise UserError("-p: the password must be one line of text that is not empty")
    return password


def _executables(given: str | None) -> Path | None:
    if given is None:
        return _DOWNLOADED if (_DOWNLOADED / "replica").is_file() else None
    folder, constants = Path(given), image_constants()
    if not folder.is_dir():
        raise UserError(f"-x: there is no folder {folder}")
    missing = [name for name in constants["REQUIRED_BINARIES"] if not (folder / name).is_file()]
    if missing:
        found = [name for name in constants["RELEASE_BINARIES"] if (folder / name).is_file()]
        raise UserError(f"-x {folder}: has no executable {', '.join(missing)}; it has {', '.join(found) or 'none'}")
    return folder.absolute()


def _check_keys(given: Namespace, *, is_signed: bool) -> None:
    """Checks that an image of prod has the keys without which it is of no use, or that this is meant."""
    needed = [("--update-key", given.update_key, "--without-update-keys", "its machines would never accept an upgrade")]
    if is_signed or given.unsigned:
        needed.append(("--signing-key", given.signing_key, "--unsigned", "no machine would accept this upgrade"))
    for option, keys, without, consequence in needed:
        meant = getattr(given, without.removeprefix("--").replace("-", "_"))
        if meant and given.t != "prod":
            raise UserError(f"{without}: is for prod only; leave it out, or build -t prod")
        if meant and keys:
            raise UserError(f"{option}, {without}: exclude each other; give one of them")
        if given.t == "prod" and not keys and not meant:
            raise UserError(f"-t prod without {option}: {consequence}; give it, or {without} if that is meant")


def _keys(option: str, given: Sequence[str], variant: str) -> tuple[Path, ...]:
    if given and variant != "prod":
        raise UserError(f"{option}: dev has the key in ic-os/guestos/update-keys; leave it out, or build -t prod")
    paths = tuple(Path(each).absolute() for each in given)
    for path in paths:
        if path.suffix != ".pem" or not path.is_file():
            raise UserError(f"{option}: {path} is not a file whose name ends in .pem")
    if len({path.name for path in paths}) < len(paths):
        raise UserError(f"{option}: two keys have the same file name; give each a name of its own")
    return paths


def check_output(option: str, path: str) -> None:
    """Checks that there can be an output.

    Raises:
        UserError: there can't.
    """
    folder = os.path.dirname(path) or "."
    if not path or os.path.isdir(path):
        raise UserError(f"{option}: {path!r} is not the name of a file")
    if not os.path.isdir(folder):
        raise UserError(f"{option}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{option}: the folder {folder} cannot be written to")


def placeholders(wanted: Request, programs: Path) -> Mapping[str, Sequence[str]]:
    """Returns what the placeholders of the plan stand for, but for the packages.

    Args:
        wanted: what to build.
        programs: folder for the programs of the reference payload, which are written if they are asked for.
    """
    constants = image_constants()
    if wanted.executables is None:
        executables = write_programs(programs)
    else:
        found = {name: wanted.executables / name for name in constants["RELEASE_BINARIES"]}
        executables = {name: path for name, path in found.items() if path.is_file()}
    return {
        "password": [wanted.password],
        "signing_key:*": [str(path) for path in wanted.signing_keys],
        "update_keys:*": [str(path) for path in wanted.update_keys],
        "version": [wanted.version],
    } | {f"executables:{name}": [str(path)] for name, path in executables.items()}


class Build:
    """A build under way."""

    def __init__(self, wanted: Request, output: Path, cache: Path) -> None:
        """Prepares a build.

        Args:
            wanted: what to build.
            output: folder for intermediate files.
            cache: folder for what is kept.
        """
        plan, policy = read_plan(_PLAN), Policy()
        self._wanted = wanted
        self._runner = Runner(
            plan,
            wanted.distribution,
            placeholders(wanted, output / "reference-payload"),
            Packages(WORKSPACE / plan.locks[wanted.distribution], cache / "packages", policy),
            Wheels(LOCK, cache / "wheels", policy),
            workspace=WORKSPACE,
            output=output,
            cache=cache,
            say=say,
        )

    def make(self, name: str) -> Path:
        """Builds an image of the variant; returns its file."""
        wanted = self._wanted
        keys = wanted.update_keys if wanted.variant == "prod" else [_TEST_KEY]
        say(
            update_keys_text(
                wanted.variant, [str(path) for path in keys], [str(_TEST_KEY)] if keys != [_TEST_KEY] else []
            )
        )
        say(f"building {wanted.variant} with {wanted.executables or 'the reference payload'}")
        return self._runner.make(f"ic-os/guestos/{self._wanted.variant}/{name}")

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of the plan's programs."""
        self._runner.run_program(program, *arguments)


@contextlib.contextmanager
def build(wanted: Request) -> Iterator[Build]:
    """Gives a build, whose intermediate files are gone at the end of the block."""
    cache = cache_folder()
    try:
        (cache / "build").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{cache}: cannot be used: {error.strerror}; set {CACHE_VARIABLE} to another folder") from error
    with tempfile.TemporaryDirectory(dir=cache / "build", ignore_cleanup_errors=True) as output:
        yield Build(wanted, Path(output), cache)


ENVIRONMENT = (
    "environment:\n"
    f"  {CACHE_VARIABLE}   folder for downloaded and installed packages (default: ~/.cache/rules_icos/scripts)\n"
)
"""What --help says of the environment."""
