"""Downloads what was built of a revision: the release binaries, canisters, and images of the GuestOS.

A server has a folder for each revision, and each folder in it has SHA256SUMS:

    REVISION/release                  NAME.gz, or NAME.zst or NAME, for each binary
    REVISION/binaries/x86_64-linux    the same; later revisions of the Internet Computer have it
    REVISION/canisters                NAME.wasm.gz, or .zst or nothing behind it, for each canister
    REVISION/guest-os/disk-img        disk-img.tar.gz, disk-img.tar.zst
    REVISION/guest-os/update-img      update-img.tar.gz, .zst, and perhaps update-img-test.tar.gz, .zst

`disk-img-dev` and `update-img-dev` have the variant dev, with the same names of files. What was released of a revision
never changes, in a folder `blessed/ic/REVISION` beside `ic/REVISION`, and comes first, folder by folder.

Whatever is downloaded is checked against SHA256SUMS, unpacked beside its place, and moved there at the end. What is
there already and unchanged stays. With a public key, SHA256SUMS itself is checked against SHA256SUMS.sig, and has to be
that of its folder.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

from guestos_tools.checksums import SIGNATURES, SUMS, check_place, verify_sums
from guestos_tools.description import WORKSPACE, image_constants
from guestos_tools.download import ForbiddenError, NotThereError, Policy, fetch, fetch_text, locked, sha256_of
from guestos_tools.options import Parser, run, say
from guestos_tools.wheels import locked_folders
from tools.core.errors import UserError
from tools.core.json_file import read_json
from tools.core.outputs import replacing, write_all
from tools.core.progress import progress

PROGRAM = "get-artifacts.sh"
DEFAULT_URL = "https://download.dfinity.systems/ic"
URL_VARIABLE = "ICOS_ARTIFACTS_URL"
KEY_VARIABLE = "ICOS_ARTIFACTS_KEY"
INSECURE_VARIABLE = "ICOS_ARTIFACTS_INSECURE"

RELEASE_FOLDERS = ("release", "binaries/x86_64-linux")
"""Where a revision has its binaries; the first one that is there counts."""

_BUILDS, _BLESSED = "/ic", "/blessed/ic"
"""Ends of the addresses of revisions: of all, and of those that were released."""

_CANISTER = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*\.wasm)(\.gz|\.zst)?")
_STATE = ".fetched.json"
"""In each folder: where its files came from, and their hashes."""

_INCOMING = ".incoming"
_COMMITS = 50
"""How many commits are looked at for one that was built."""

_SUFFIXES = (".gz", ".zst", "")
"""Of a file on a server, in the order of preference: the first one can be unpacked without a library."""

_IMAGES = {"disk-img": ("disk-img",), "update-img": ("update-img", "update-img-test")}
"""Folders of images to the images in them."""

_CHUNK = 1 << 20
_MIB = 1 << 20
_MOST_BYTES, _MOST_BYTES_OF_IMAGE = 4 << 30, 64 << 30
"""Most bytes of an unpacked file; that of a disk has its data, and not its holes."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is wanted.

    Attributes:
        urls: of the folders that may have it; the first one with checksums counts.
        name: of the file when it is unpacked.
        mode: of the file.
        required: whether nothing works without it.
        most: its largest size in bytes when it is unpacked.
        without: what the user gives to go without it, for the message; empty if nothing does.
    """

    urls: tuple[str, ...]
    name: str
    mode: int
    required: bool
    most: int
    without: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a wanted file comes from: URL of the folder, name and SHA-256 of the download."""

    wanted: Wanted
    url: str
    remote: str
    sha256: str


def parse_sums(text: str, origin: str) -> dict[str, str]:
    """Returns SHA-256 by name, from what sha256sum(1) writes; comments are left out, as sha256sum does.

    Raises:
        UserError: a line is something else, or two lines disagree.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            continue
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?([^/]+)", line)
        if not match:
            raise UserError(f"{origin}:{number}: is not a SHA-256 and a name")
        if sums.setdefault(match[2], match[1]) != match[1]:
            raise UserError(f"{origin}:{number}: has another SHA-256 of {match[2]} than a line before")
    return sums


class Sums:
    """The files of checksums of a server, each downloaded once."""

    def __init__(self, keys: Sequence[Path], policy: Policy) -> None:
        """Downloads nothing.

        Args:
            keys: public keys, one of which must have signed; none: signatures are not looked at.
            policy: how much trouble to take.
        """
        self._keys = keys
        self._policy = policy
        self._known: dict[str, dict[str, str] | None] = {}

    def of(self, url: str) -> dict[str, str] | None:
        """Returns SHA-256 by name of the files of a folder, or None if it has no checksums.

        Raises:
            UserError: the server can't be asked, or checksums or signatures are wrong.
        """
        if url not in self._known:
            text = _text_of_sums(url, self._policy)
            if text is not None and self._keys:
                self._verify(url, text)
            self._known[url] = None if text is None else parse_sums(text, f"{url}/{SUMS}")
        return self._known[url]

    def first(self, urls: Iterable[str]) -> tuple[str, dict[str, str] | None]:
        """Returns the first of some folders that has checksums, and these; an empty URL and None if there is none."""
        return next(((url, found) for url in urls if (found := self.of(url)) is not None), ("", None))

    def _verify(self, url: str, text: str) -> None:
        try:
            signatures = fetch_text(f"{url}/{SIGNATURES}", self._policy)
        except NotThereError as error:
            raise UserError(
                f"{url}/{SUMS}: is not signed, {SIGNATURES} is missing; without {KEY_VARIABLE} no signature is needed"
            ) from error
        with tempfile.TemporaryDirectory() as folder:
            sums, signed = Path(folder, SUMS), Path(folder, SIGNATURES)
            sums.write_text(text, encoding="utf-8", newline="")
            signed.write_text(signatures, encoding="utf-8", newline="")
            library = lambda: locked_folders("cryptography", self._policy)  # noqa: E731
            verify_sums(sums, signed, self._keys, f"{url}/{SUMS}", library)
        check_place(text, url)


def _text_of_sums(url: str, policy: Policy) -> str | None:
    """Returns the checksums of a folder; None if it has none.

    Raises:
        UserError: the server can't be asked.
    """
    try:
        return fetch_text(f"{url}/{SUMS}", policy)
    except NotThereError:
        return None
    except ForbiddenError:
        # Where a missing file is forbidden, the other prefix is still to be asked.
        if f"{_BLESSED}/" not in url:
            raise
        return None


def find_sources(wanted: Iterable[Wanted], sums: Sums) -> list[Source]:
    """Returns where wanted files come from; those that were not built and aren't required are left out.

    Raises:
        UserError: a required one is missing, or the server can't be asked.
    """
    sources: list[Source] = []
    missing: list[str] = []
    for each in wanted:
        url, listed = sums.first(each.urls)
        if listed is None and each.required:
            text = ", nor is ".join([f"{each.urls[0]}/{SUMS}: is not there", *each.urls[1:]])
            raise NotThereError(f"{text}; {each.without}" if each.without else text)
        remote = next((each.name + suffix for suffix in _SUFFIXES if each.name + suffix in (listed or {})), None)
        if listed is not None and remote is not None:
            sources.append(Source(each, url, remote, listed[remote]))
        elif each.required:
            names = " or ".join(each.name + suffix for suffix in _SUFFIXES)
            raise UserError(f"{url}/{SUMS}: lists no {names}, without which there is no image")
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
        if sources:
            say(f"{target}: is up to date")
        return
    incoming.mkdir(parents=True, exist_ok=True)
    target.mkdir(parents=True, exist_ok=True)
    for source in fresh:
        _download(source, incoming, policy)
        state[source.wanted.name] = [source.sha256, _unpack(source, incoming, policy)]
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
        value = read_json(target / _STATE)
        # Values are compared only, so their type doesn't matter but for their number.
        return {name: [first, second] for name, (first, second) in value.items() if "/" not in name}
    except (UserError, ValueError, TypeError, AttributeError):
        return {}


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
        fetch([f"{source.url}/{source.remote}"], path, source.sha256, policy, tell)
    say(f"  {source.remote}: {path.stat().st_size / _MIB:.1f} MiB")


def _unpacked(source: Source, incoming: Path) -> Path:
    return incoming / f"{source.wanted.name}.unpacked"


def _unpack(source: Source, incoming: Path, policy: Policy) -> str:
    """Unpacks a download; returns the SHA-256 of the result."""
    path, output = incoming / source.remote, _unpacked(source, incoming)
    with replacing(output) as fd:
        with _opened(path, source, policy) as file, open(fd, "wb", closefd=False) as unpacked:
            _copy(file, unpacked, source)
        os.fchmod(fd, source.wanted.mode)
    return sha256_of(output)


def _copy(file: IO[bytes], unpacked: IO[bytes], source: Source) -> None:
    """Copies the unpacked content of a download.

    Raises:
        UserError: it is larger than it should be; a small download may unpack to any size.
    """
    size = 0
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        if size > source.wanted.most:
            raise UserError(
                f"{source.url}/{source.remote}: has the right SHA-256, but unpacks to more than "
                f"{source.wanted.most / _MIB:.0f} MiB, which is not what it should be"
            )
        unpacked.write(chunk)


@contextlib.contextmanager
def _opened(path: Path, source: Source, policy: Policy) -> Iterator[IO[bytes]]:
    """Opens the unpacked content of a download.

    Raises:
        UserError: in the block, it cannot be unpacked.
    """
    suffix = source.remote.removeprefix(source.wanted.name)
    damage: tuple[type[Exception], ...] = (gzip.BadGzipFile, EOFError, zlib.error)
    with contextlib.ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(path.open("rb"))
        if suffix == ".gz":
            file = cast(IO[bytes], stack.enter_context(gzip.open(file)))
        elif suffix == ".zst":
            if importlib.util.find_spec("zstandard") is None:
                sys.path += locked_folders("zstandard", policy)
            file = importlib.import_module("tools.core.frames").zstd_reader(file)
            damage = (*damage, importlib.import_module("zstandard").ZstdError)
        try:
            if suffix and path.stat().st_size == 0:  # the readers take it for one without content
                raise EOFError("it is empty")
            yield file
        except damage as error:
            raise UserError(
                f"{source.url}/{source.remote}: has the right SHA-256, but cannot be unpacked as {suffix}: {error}"
            ) from error


def revision(url: str, given: str | None, policy: Policy) -> str:
    """Returns the commit to take: the one that is asked for, or the newest of the last ones that the server has.

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
        for folder in folder_urls(url, commit, *RELEASE_FOLDERS):
            if _text_of_sums(folder, policy) is not None:
                return commit
    raise UserError(
        f"{url}: has no build of the last {_COMMITS} commits of this checkout; say which one to take: GIT_REV=COMMIT, "
        f"or from where: {URL_VARIABLE}=URL"
    )


def folder_urls(url: str, commit: str, *folders: str) -> tuple[str, ...]:
    """Returns the URLs that a revision's folders may have; those of what was released come first."""
    prefixes = (url.removesuffix(_BUILDS) + _BLESSED, url) if url.endswith(_BUILDS) else (url,)
    return tuple(f"{prefix}/{commit}/{folder}" for prefix in prefixes for folder in folders)


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
        "executable, canisters to artifacts/canisters, unpacked, and the images of the GuestOS to\n"
        "artifacts/guest-os. All is checked by SHA-256. What is there and unchanged is not downloaded again;\n"
        "what was interrupted goes on.",
        "environment:\n"
        "  GET_GUEST_OS   0: no images; 1 (default): images of prod; dev: images of dev\n"
        "  GET_CANISTERS  0: no canisters; 1 (default): canisters, if the revision has them\n"
        "  GIT            the revision: a commit, branch or tag of this checkout; default: the newest of its last\n"
        f"                 {_COMMITS} commits that the server has\n"
        "  GIT_REV        the same; where GIT names another revision, that of images for artifacts/guest-os-master,\n"
        "                 the target of an upgrade\n"
        f"  {URL_VARIABLE}        where revisions are (default: {DEFAULT_URL}); where it ends with\n"
        f"                 {_BUILDS}, what was released is looked for at …{_BLESSED} first\n"
        f"  {KEY_VARIABLE}        file with a public key (Ed25519, PEM): checksums must be signed by it\n"
        f"  {INSECURE_VARIABLE}   1: URLs without TLS (http://) are taken, too\n\n"
        "example:\n"
        f"  GET_GUEST_OS=0 ./ic-os/guestos/scripts/{PROGRAM}",
    )


@dataclass(frozen=True, slots=True)
class Request:
    """What the environment asks for.

    Attributes:
        url: where revisions are.
        revision: the revision, or None for the newest.
        images: `prod`, `dev`, or empty for no images.
        target: the revision of a second set of images, or None.
        keys: public keys, one of which must have signed the checksums; none if signatures don't matter.
        https_only: whether URLs without TLS are refused.
        canisters: whether canisters are wanted.
    """

    url: str
    revision: str | None
    images: str = "prod"
    target: str | None = None
    keys: tuple[Path, ...] = ()
    https_only: bool = True
    canisters: bool = True


def request_of(environment: Mapping[str, str]) -> Request:
    """Returns what the variables ask for.

    Raises:
        UserError: one of them is wrong.
    """
    images = {"": "prod", "0": "", "1": "prod", "dev": "dev"}.get(environment.get("GET_GUEST_OS", ""))
    if images is None:
        raise UserError(f"GET_GUEST_OS: must be 0, 1 or dev, not {environment['GET_GUEST_OS']!r}")
    insecure, canisters = _switch(environment, INSECURE_VARIABLE, False), _switch(environment, "GET_CANISTERS", True)
    for other in ("GET_HOST_OS", "GET_SETUP_OS"):
        if _switch(environment, other, False):
            raise UserError(f"{other}: there is nothing but the GuestOS here; must be 0")
    url = (environment.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
    if not re.match("https?://.", url):
        raise UserError(f"{URL_VARIABLE}: {url!r} is not a URL that begins with https:// or http://")
    if not insecure and not url.startswith("https://"):
        raise UserError(f"{URL_VARIABLE}: {url!r} is not a URL with https://; {INSECURE_VARIABLE}=1 permits it")
    first, second = environment.get("GIT") or None, environment.get("GIT_REV") or None
    target = second if first and second != first else None
    key = environment.get(KEY_VARIABLE)
    keys = (Path(key),) if key else ()
    return Request(url, first or second, images, target, keys, not insecure, canisters)


def _switch(environment: Mapping[str, str], name: str, default: bool) -> bool:
    value = environment.get(name) or str(int(default))
    if value not in ("0", "1"):
        raise UserError(f"{name}: must be 0 or 1, not {value!r}")
    return value == "1"


def get(request: Request, artifacts: Path, policy: Policy) -> None:
    """Downloads what is asked for into a folder; see `main`."""
    policy = replace(policy, https_only=request.https_only, permission=f"{INSECURE_VARIABLE}=1")
    artifacts.mkdir(parents=True, exist_ok=True)
    with locked(artifacts, lambda: say(f"{artifacts}: waiting for another call")):
        commit = revision(request.url, request.revision, policy)
        sums = Sums(request.keys, policy)
        folders = {"release": (commit, _binaries(request.url, commit))}
        if request.canisters:
            folders["canisters"] = (commit, _canisters(request.url, commit, sums))
        if request.images:
            folders["guest-os"] = (commit, _images(request.url, commit, request.images))
        if request.images and request.target:
            target = revision(request.url, request.target, policy)
            folders["guest-os-master"] = (target, _images(request.url, target, request.images))
        found = {folder: (commit, find_sources(wanted, sums)) for folder, (commit, wanted) in folders.items()}
        for url in sorted({source.url for _, sources in found.values() for source in sources}):
            say(f"taking {url}")
        incoming = artifacts / _INCOMING
        for folder, (commit, sources) in found.items():
            bring(sources, artifacts / folder, incoming / commit / folder, policy)
        shutil.rmtree(incoming, ignore_errors=True)


def _binaries(url: str, commit: str) -> list[Wanted]:
    constants = image_constants()
    urls = folder_urls(url, commit, *RELEASE_FOLDERS)
    required = constants["REQUIRED_BINARIES"]
    return [Wanted(urls, name, 0o755, name in required, _MOST_BYTES) for name in constants["RELEASE_BINARIES"]]


def _canisters(url: str, commit: str, sums: Sums) -> list[Wanted]:
    """Returns the canisters of a revision: what its checksums list. A server may have none."""
    urls = folder_urls(url, commit, "canisters")
    listed = sums.first(urls)[1]
    if listed is None:
        say(f"  {urls[-1]}: is not there; no canisters are taken")
    names = {match[1] for name in listed or () if (match := _CANISTER.fullmatch(name))}
    return [Wanted(urls, name, 0o644, required=False, most=_MOST_BYTES) for name in sorted(names)]


def _images(url: str, commit: str, variant: str) -> list[Wanted]:
    suffix = "-dev" if variant == "dev" else ""
    return [
        Wanted(
            folder_urls(url, commit, f"guest-os/{folder}{suffix}"),
            f"{image}.tar",
            0o644,
            image == "disk-img",
            _MOST_BYTES_OF_IMAGE,
            "GET_GUEST_OS=0 takes no images",
        )
        for folder, images in _IMAGES.items()
        for image in images
    ]


def main(arguments: Sequence[str]) -> None:
    """Downloads what the environment asks for."""
    parser().parse_args(arguments)
    get(request_of(os.environ), WORKSPACE / "artifacts", Policy())


if __name__ == "__main__":
    run(PROGRAM, main)
