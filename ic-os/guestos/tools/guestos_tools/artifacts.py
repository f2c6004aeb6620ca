"""Downloads what was built of a revision: the release binaries, and images of the GuestOS.

A server has a folder for each revision:

    REVISION/release/SHA256SUMS                      and NAME.gz or NAME for each binary
    REVISION/guest-os/disk-img/SHA256SUMS            and disk-img.tar.gz
    REVISION/guest-os/update-img/SHA256SUMS          and update-img.tar.gz

Whatever is downloaded is checked against SHA256SUMS, unpacked beside its place, and moved there at the end. What is
there already and unchanged stays.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from guestos_tools.description import WORKSPACE, image_constants
from guestos_tools.download import NotThereError, Policy, fetch, fetch_text, locked, sha256_of
from guestos_tools.options import Parser, run, say
from tools.core.errors import UserError
from tools.core.outputs import replacing, write_all
from tools.core.progress import progress

PROGRAM = "get-artifacts.sh"
DEFAULT_URL = "https://download.dfinity.systems/ic"
URL_VARIABLE = "ICOS_ARTIFACTS_URL"

_SUMS = "SHA256SUMS"
_STATE = ".fetched.json"
"""In each folder: where its files came from, and their hashes."""

_INCOMING = ".incoming"
_COMMITS = 50
"""How many commits are looked at for one that was built."""

_IMAGES = ("disk-img", "update-img")
_CHUNK = 1 << 20
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is wanted.

    Attributes:
        url: of the folder that has it.
        name: of the file when it is unpacked.
        mode: of the file.
        required: whether nothing works without it.
    """

    url: str
    name: str
    mode: int
    required: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Where a wanted file comes from: name and SHA-256 of the download."""

    wanted: Wanted
    remote: str
    sha256: str


def parse_sums(text: str, origin: str) -> dict[str, str]:
    """Returns SHA-256 by name, from what sha256sum(1) writes.

    Raises:
        UserError: a line is something else.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?([^/]+)", line)
        if not match:
            raise UserError(f"{origin}:{number}: is not a SHA-256 and a name")
        sums[match[2]] = match[1]
    return sums


def find_sources(wanted: Iterable[Wanted], policy: Policy) -> list[Source]:
    """Returns where wanted files come from; those that were not built and aren't required are left out.

    Raises:
        UserError: a required one is missing, or the server can't be asked.
    """
    sources: list[Source] = []
    missing: list[str] = []
    sums: dict[str, dict[str, str]] = {}
    for each in wanted:
        origin = f"{each.url}/{_SUMS}"
        if origin not in sums:
            try:
                sums[origin] = parse_sums(fetch_text(origin, policy), origin)
            except NotThereError:
                if each.required:
                    raise
                sums[origin] = {}
        remote = next((name for name in (f"{each.name}.gz", each.name) if name in sums[origin]), None)
        if remote is not None:
            sources.append(Source(each, remote, sums[origin][remote]))
        elif each.required:
            raise UserError(f"{origin}: lists no {each.name}.gz, without which there is no image")
        else:
            missing.append(each.name)
    if missing:
        say(f"  not built, and left out: {', '.join(missing)}")
    return sources


def bring(sources: Sequence[Source], target: Path, incoming: Path, policy: Policy) -> None:
    """Brings a folder up to date; files in it that came from nowhere stay as they are.

    Args:
        sources: what the folder is to hold.
        target: the folder; made if it isn't there.
        incoming: folder for what is not complete, which a later call goes on with.
        policy: how much trouble to take.

    Raises:
        UserError: a file can't be had; the folder is as it was.
    """
    state = _read_state(target)
    fresh = [source for source in sources if not _is_current(source, state, target)]
    stale = state.keys() - {source.wanted.name for source in sources}
    if not fresh and not stale:
        say(f"{target}: is up to date")
        return
    incoming.mkdir(parents=True, exist_ok=True)
    target.mkdir(parents=True, exist_ok=True)
    for source in fresh:
        _download(source, incoming, policy)
        state[source.wanted.name] = [source.sha256, _unpack(source, incoming)]
    # From here on there is nothing that takes time. A folder whose state is missing is not trusted by the next call.
    (target / _STATE).unlink(missing_ok=True)
    for name in stale:
        (target / name).unlink(missing_ok=True)
        del state[name]
    for source in fresh:
        os.replace(_unpacked(source, incoming), target / source.wanted.name)
    with replacing(target / _STATE) as fd:
        write_all(fd, (json.dumps(state, indent=2, sort_keys=True) + "\n").encode())
    say(f"{target}: {len(fresh)} new, {len(sources) - len(fresh)} unchanged")


def _read_state(target: Path) -> dict[str, list[str]]:
    """Returns hashes of the download and of the unpacked file, by name."""
    try:
        value = json.loads((target / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: hashes for name, hashes in value.items() if "/" not in name}


def _is_current(source: Source, state: Mapping[str, list[str]], target: Path) -> bool:
    path = target / source.wanted.name
    known = state.get(source.wanted.name, ["", ""])
    if known[0] != source.sha256 or not path.is_file() or sha256_of(path) != known[1]:
        return False
    path.chmod(source.wanted.mode)
    return True


def _download(source: Source, incoming: Path, policy: Policy) -> None:
    path = incoming / source.remote
    with progress(f"receiving {source.remote}", 0) as tell:
        fetch([f"{source.wanted.url}/{source.remote}"], path, source.sha256, policy, tell)
    say(f"  {source.remote}: {path.stat().st_size / _MIB:.1f} MiB")


def _unpacked(source: Source, incoming: Path) -> Path:
    return incoming / f"{source.wanted.name}.unpacked"


def _unpack(source: Source, incoming: Path) -> str:
    """Unpacks a download; returns the SHA-256 of the result."""
    path, output = incoming / source.remote, _unpacked(source, incoming)
    packed = source.remote != source.wanted.name
    with replacing(output) as fd:
        try:
            with gzip.open(path) if packed else path.open("rb") as file, open(fd, "wb", closefd=False) as unpacked:
                shutil.copyfileobj(file, unpacked, _CHUNK)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(
                f"{source.wanted.url}/{source.remote}: has the right SHA-256, but is no gzip file: {error}"
            ) from error
        os.fchmod(fd, source.wanted.mode)
    return sha256_of(output)


def revision(url: str, given: str | None, policy: Policy) -> str:
    """Returns the commit to take: the one that is asked for, or the newest before HEAD that was built.

    Raises:
        UserError: there is no such commit.
    """
    if given is not None:
        resolved = _git("rev-parse", "--quiet", "--verify", "--end-of-options", f"{given}^{{commit}}")
        if resolved:
            return resolved[0]
        if re.fullmatch("[0-9a-f]{40}", given):
            return given
        raise UserError(f"{given!r} is neither a revision of this checkout nor a full commit id")
    for commit in _git("rev-list", "--first-parent", f"--max-count={_COMMITS}", "HEAD"):
        try:
            fetch_text(f"{url}/{commit}/release/{_SUMS}", policy)
        except NotThereError:
            continue
        return commit
    raise UserError(
        f"{url}: has no build of the last {_COMMITS} commits of this checkout; say which one to take: GIT_REV=COMMIT, "
        f"or from where: {URL_VARIABLE}=URL"
    )


def _git(*arguments: str) -> list[str]:
    command = ["git", "-C", os.fspath(WORKSPACE), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return []


def parser() -> Parser:
    """Returns the parser of the options."""
    return Parser(
        PROGRAM,
        "Downloads what was built of a revision: the release binaries to artifacts/release, unpacked and\n"
        "executable, and the images of the GuestOS to artifacts/guest-os. All is checked by SHA-256. What is\n"
        "there and unchanged is not downloaded again; what was interrupted goes on.",
        "environment:\n"
        "  GET_GUEST_OS   0: no images; 1 (default): images too\n"
        "  GIT_REV, GIT   the revision: a commit, branch or tag of this checkout; default: the newest of the\n"
        f"                 last {_COMMITS} commits that was built\n"
        f"  {URL_VARIABLE}   where revisions are (default: {DEFAULT_URL})\n\n"
        "example:\n"
        f"  GET_GUEST_OS=0 ./ic-os/guestos/scripts/{PROGRAM}",
    )


@dataclass(frozen=True, slots=True)
class Request:
    """What the environment asks for."""

    url: str
    revision: str | None
    images: bool


def request_of(environment: Mapping[str, str]) -> Request:
    """Returns what the variables ask for.

    Raises:
        UserError: one of them is wrong.
    """
    images = environment.get("GET_GUEST_OS", "") or "1"
    if images not in ("0", "1"):
        raise UserError(f"GET_GUEST_OS: must be 0 or 1, not {images!r}")
    revisions = {value for name in ("GIT", "GIT_REV") if (value := environment.get(name))}
    if len(revisions) > 1:
        raise UserError("GIT and GIT_REV: name two revisions; give one of them")
    url = (environment.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
    if not re.match("https?://.", url):
        raise UserError(f"{URL_VARIABLE}: {url!r} is not a URL that begins with http:// or https://")
    return Request(url, next(iter(revisions), None), images == "1")


def get(request: Request, artifacts: Path, policy: Policy) -> None:
    """Downloads what is asked for into a folder; see `main`."""
    artifacts.mkdir(parents=True, exist_ok=True)
    with locked(artifacts, lambda: say(f"{artifacts}: waiting for another call")):
        commit = revision(request.url, request.revision, policy)
        base = f"{request.url}/{commit}"
        say(f"taking {base}")
        constants = image_constants()
        required = constants["REQUIRED_BINARIES"]
        folders = {
            "release": [
                Wanted(f"{base}/release", name, 0o755, name in required) for name in constants["RELEASE_BINARIES"]
            ]
        }
        if request.images:
            folders["guest-os"] = [
                Wanted(f"{base}/guest-os/{name}", f"{name}.tar", 0o644, name == _IMAGES[0]) for name in _IMAGES
            ]
        found = {folder: find_sources(wanted, policy) for folder, wanted in folders.items()}
        incoming = artifacts / _INCOMING
        for folder, sources in found.items():
            bring(sources, artifacts / folder, incoming / commit / folder, policy)
        shutil.rmtree(incoming, ignore_errors=True)


def main(arguments: Sequence[str]) -> None:
    """Downloads what the environment asks for."""
    parser().parse_args(arguments)
    get(request_of(os.environ), WORKSPACE / "artifacts", Policy())


if __name__ == "__main__":
    run(PROGRAM, main)
