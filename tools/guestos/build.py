"""Builds images of the GuestOS without Bazel: what both scripts that do it have in common.

The BUILD files are those that Bazel reads; see tools/buildfiles.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.buildfiles.execution import Executor
from tools.buildfiles.modules import debian_repositories
from tools.buildfiles.rules import Declaration
from tools.buildfiles.values import DEFAULT_INFO, Depset, File, Label, Target
from tools.buildfiles.wheels import Wheels, wheel_repository
from tools.buildfiles.workspace import Workspace
from tools.core.errors import UserError
from tools.fetch.download import Policy
from tools.guestos.description import WORKSPACE, image_constants
from tools.guestos.options import Parser, say

CACHE_VARIABLE = "ICOS_BUILD_CACHE"
_VERSION = "//ic-os/guestos:version"
_DOWNLOADED = WORKSPACE / "artifacts" / "release"


@dataclass(frozen=True, slots=True)
class Request:
    """What to build.

    Attributes:
        variant: `dev` or `prod`.
        version: of the image; None for the default of the BUILD files.
        password: of root, for `dev`; None for the default of the BUILD files.
        executables: folder with the release binaries; None for the reference payload.
    """

    variant: str
    version: str | None
    password: str | None
    executables: Path | None


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


def request(variant: str, version: str | None, password: str | None, executables: str | None) -> Request:
    """Returns what options ask for.

    Raises:
        UserError: one of them is wrong.
    """
    if password is not None and variant == "prod":
        raise UserError("-p: production has no passwords; leave it out, or build -t dev")
    if password is not None and (not password or not password.isprintable()):
        raise UserError("-p: the password must be one line of text that is not empty")
    folder = None if executables is None else Path(executables)
    if folder is not None and not folder.is_dir():
        raise UserError(f"-x: there is no folder {folder}")
    if folder is None and (_DOWNLOADED / "replica").is_file():
        folder = _DOWNLOADED
    return Request(variant, version, password, folder)


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


def cache_folder() -> Path:
    """Returns the folder for what is kept from build to build."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "rules_icos", "scripts")


class Build:
    """A build under way."""

    def __init__(self, wanted: Request, output: Path, cache: Path, policy: Policy) -> None:
        """Prepares a build.

        Args:
            wanted: what to build.
            output: folder for intermediate files.
            cache: folder for what is kept.
            policy: how much trouble downloads take.
        """
        settings = {}
        if wanted.version is not None:
            settings[_VERSION] = wanted.version
        repositories = debian_repositories(WORKSPACE, cache / "packages") | {"pypi": wheel_repository}
        if wanted.executables is not None:
            settings["//ic-os/guestos:release_binaries"] = "@executables//:release"
            repositories["executables"] = _Executables(wanted.executables)
        self._wanted = wanted
        wheels = Wheels(WORKSPACE / "third_party/python/requirements.lock.json", cache / "wheels", policy)
        self._workspace = Workspace(
            WORKSPACE, output, settings=settings, repositories=repositories, adjust=self._set_password
        )
        self._executor = Executor(self._workspace, wheels, cache, policy, say)

    def _set_password(self, declaration: Declaration) -> None:
        passwords = declaration.attributes.get("passwords")
        if passwords and self._wanted.password is not None:
            declaration.attributes["passwords"] = dict.fromkeys(passwords, self._wanted.password)

    def make(self, name: str) -> Path:
        """Builds a target of the variant; returns its file."""
        try:
            target = self._workspace.analyze(Label("", f"ic-os/guestos/{self._wanted.variant}", name))
        except UserError as error:
            raise UserError(str(error).replace(f"--{_VERSION}", "-v")) from error
        (file,) = target.files()
        say(f"building {self._wanted.variant} with {self._wanted.executables or 'the reference payload'}")
        self._executor.make([*self._workspace.validations, file])
        return Path(file.path)

    def run(self, label: str, *arguments: str) -> None:
        """Runs a program of the tools."""
        self._executor.run_tool(Label.parse(label), arguments)


class _Executables:
    """A repository with the release binaries that a folder has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def __call__(self, _workspace: Workspace, label: Label) -> Target:
        paths = [self._folder / name for name in image_constants()["RELEASE_BINARIES"]]
        files = [File(str(path), label, path.name) for path in paths if path.is_file()]
        return Target(f"-x {self._folder}", [DEFAULT_INFO(files=Depset(files))])


@contextlib.contextmanager
def build(wanted: Request) -> Iterator[Build]:
    """Gives a build, whose intermediate files are gone at the end of the block."""
    cache = cache_folder()
    try:
        (cache / "build").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{cache}: cannot be used: {error.strerror}; set {CACHE_VARIABLE} to another folder") from error
    with tempfile.TemporaryDirectory(dir=cache / "build", ignore_cleanup_errors=True) as output:
        yield Build(wanted, Path(output), cache, Policy())


ENVIRONMENT = (
    "environment:\n"
    f"  {CACHE_VARIABLE}   folder for downloaded and installed packages (default: ~/.cache/rules_icos/scripts)\n"
)
"""What --help says of the environment."""


def parse(parser: Parser, arguments: Sequence[str]) -> dict[str, str | None]:
    """Returns the options by name."""
    return vars(parser.parse_args(arguments))
