"""Builds a revision again, and compares it with what was published: `bazel run //ic-os/guestos:verify-release`.

The revision is checked out into a git worktree of its own and built there by `bazel run //ic-os/guestos:publish`, with
a Bazel server and outputs of its own, which are removed at the end. Options that the published build had, such as
`--//ic-os/guestos:version=…`, have to be given again by --bazel_option. SHA-256 are compared. Of a file that differs,
both contents are kept; of images, the differences are printed as by image_diff.

The exit status is 0 if exactly the published files were built again, with the same content; 1 if one differs, was not
built, or was not published; 2 after an error.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from guestos_tools.artifacts import DEFAULT_URL, RELEASE_FOLDERS, Sums, folder_urls, parse_sums
from guestos_tools.checksums import SUMS
from guestos_tools.download import Policy, fetch
from guestos_tools.options import say
from tools.commands import image_diff
from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName
from tools.core.text import escaped
from tools.image.decompression import decompress

_IMAGE_FOLDERS = tuple(f"guest-os/{image}{variant}" for variant in ("", "-dev") for image in ("disk-img", "update-img"))
_COMPRESSED = (".gz", ".zst")
_OF_THIS_RUN = ("BUILD_WORK", "JAVA_RUNFILES", "PYTHON", "RUNFILES_")
"""Beginnings of environment variables that `bazel run` sets for this program, and that another one must not see."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    revision: str = argument("commit, branch or tag of the checkout", default="HEAD")
    url: str = argument("where revisions are published", default=DEFAULT_URL)
    key: tuple[FileName, ...] = argument(
        "file with a public key (Ed25519, PEM) that must have signed the checksums; one of them, if there are more",
        default=(),
    )
    output: FileName = argument("folder for images that differ; made if it doesn't exist", default="verify-release")
    bazel: str = argument("the Bazel to build with, a name in PATH or a path", default="bazel")
    bazel_option: tuple[str, ...] = argument("an option of `bazel run` for the build", default=())
    insecure: bool = argument("take a URL without TLS (http://), too", default=False)


@dataclass(frozen=True, slots=True)
class Published:
    """A published file.

    Attributes:
        folder: its folder in the layout of today.
        name: its name.
        url: of the file.
        sha256: of the file, in hex.
    """

    folder: str
    name: str
    url: str
    sha256: str


def published_files(url: str, commit: str, sums: Sums) -> list[Published]:
    """Returns what is published of a revision, as get-artifacts.sh would take it.

    Args:
        url: where revisions are published.
        commit: of the revision.
        sums: of the server.

    Raises:
        UserError: that is nothing, or the checksums are wrong.
    """
    found = []
    for folder, places in (("release", RELEASE_FOLDERS), *((folder, (folder,)) for folder in _IMAGE_FOLDERS)):
        place, listed = sums.first(folder_urls(url, commit, *places))
        found += [Published(folder, name, f"{place}/{name}", sha256) for name, sha256 in sorted((listed or {}).items())]
    if not found:
        raise UserError(f"{url}/{commit}: has no checksums of binaries or images, so it is not published there")
    return found


def commit_of(revision: str, checkout: str) -> str:
    """Returns the commit id of a revision of a checkout.

    Raises:
        UserError: there is no such revision.
    """
    try:
        return _git(checkout, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"--revision: {revision!r} is no revision of the checkout {checkout}") from error


def _git(checkout: str, *words: str) -> str:
    return subprocess.run(["git", "-C", checkout, *words], capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def built(commit: str, checkout: str, arguments: Arguments) -> Iterator[Path]:
    """Yields a folder with a build of a commit, in the layout in which it is published.

    Raises:
        UserError: the commit cannot be checked out, or the build fails.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THIS_RUN)}
    with tempfile.TemporaryDirectory(prefix="verify-release-") as name:
        tree, result = Path(name, "tree"), Path(name, "result")
        publish = ["run", *arguments.bazel_option, "//ic-os/guestos:publish", "--", f"--to={result}"]
        # It is started in another folder than that of the caller.
        bazel = os.path.abspath(arguments.bazel) if os.sep in arguments.bazel else arguments.bazel
        with _worktree(checkout, tree, commit):
            try:
                command = [bazel, *publish, f"--revision={commit}"]
                try:
                    status = subprocess.run(command, cwd=tree, env=environment, check=False).returncode
                except OSError as error:
                    raise UserError(f"--bazel: {bazel}: cannot be run: {error.strerror}") from error
                if status != 0:
                    raise UserError(f"the build of {commit} failed, see the lines above")
                yield result / commit
            finally:
                with contextlib.suppress(OSError):
                    subprocess.run([bazel, "clean", "--expunge"], cwd=tree, env=environment, check=False)


@contextlib.contextmanager
def _worktree(checkout: str, tree: Path, commit: str) -> Iterator[None]:
    """Checks out a commit into a worktree while the block runs.

    Raises:
        UserError: git can't do that.
    """
    try:
        try:
            _git(checkout, "worktree", "add", "--detach", "--quiet", str(tree), commit)
        except subprocess.CalledProcessError as error:
            said = " ".join(error.stderr.split()) or f"git exits with {error.returncode}"
            raise UserError(f"{checkout}: {commit} cannot be checked out: {said}") from error
        yield
    finally:
        # git locks a worktree until it is complete, and takes only a complete one, or none, for one to remove.
        shutil.rmtree(tree, ignore_errors=True)
        remove = ["git", "-C", checkout, "worktree", "remove", "--force", "--force", str(tree)]
        subprocess.run(remove, capture_output=True, check=False)


def sums_of(folder: Path) -> Mapping[str, str]:
    """Returns SHA-256 by name of the files in a local folder; none if the folder wasn't built."""
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return parse_sums(text, str(folder / SUMS))


def explain(file: Published, ours: Path, output: Path, policy: Policy) -> None:
    """Keeps both of two files that differ, and prints what differs in them where they are images."""
    pair = []
    for side in ("published", "built"):
        path = output / side / file.folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if side == "published":
            fetch([file.url], path, file.sha256, policy)
        else:
            shutil.copyfile(ours, path)
        if path.suffix in _COMPRESSED:
            decompress(path, path.with_suffix(""))
            path = path.with_suffix("")
        pair.append(str(path))
    if file.folder == "release":
        print(f"compare {pair[0]} and {pair[1]}")
        return
    with contextlib.suppress(CheckError):  # they differ, which is known
        image_diff.main(image_diff.Arguments(left=pair[0], right=pair[1]))
        print("the images are the same, only their compression differs")


def compare(published: Sequence[Published], folder: Path, output: Path, policy: Policy) -> int:
    """Compares published files with a build, printing a line for each; returns how many are not the same.

    Args:
        published: the files.
        folder: of the build, in the layout in which it is published.
        output: folder for files that differ.
        policy: how much trouble a download takes.

    Raises:
        UserError: the build has wrong checksums.
    """
    wrong = 0
    for file in published:
        ours = sums_of(folder / file.folder).get(file.name)
        same = ours == file.sha256
        wrong += not same
        different = "not built" if ours is None else f"differs: published {file.sha256}, built {ours}"
        print(escaped(f"{file.folder}/{file.name}: {'same' if same else different}"), flush=True)
        if not same and ours is not None:
            try:
                explain(file, folder / file.folder / file.name, output, policy)
            except UserError as error:  # what is published may be damaged; the other files are compared anyway
                print(escaped(f"they cannot be compared further: {error}"), flush=True)
    return wrong


def not_published(published: Iterable[Published], folder: Path) -> list[str]:
    """Returns the paths of files that a build has and nobody published.

    Raises:
        UserError: the build has wrong checksums.
    """
    known = {(file.folder, file.name) for file in published}
    built_files = ((place, name) for place in ("release", *_IMAGE_FOLDERS) for name in sorted(sums_of(folder / place)))
    return [f"{place}/{name}" for place, name in built_files if (place, name) not in known]


def main(arguments: Arguments) -> None:
    """Runs the command line.

    Raises:
        CheckError: what is published is not what was built.
    """
    checkout = os.environ.get("BUILD_WORKSPACE_DIRECTORY", ".")
    commit = commit_of(arguments.revision, checkout)
    policy = Policy(https_only=not arguments.insecure, permission="--insecure")
    keys = [Path(key) for key in arguments.key]
    published = published_files(arguments.url.rstrip("/"), commit, Sums(keys, policy))
    with built(commit, checkout, arguments) as folder:
        wrong = compare(published, folder, Path(arguments.output), policy)
        missing = not_published(published, folder)
    for path in missing:
        print(escaped(f"{path}: not published"), flush=True)
    differences = [f"{wrong} of {len(published)} published files are not what was built"] if wrong else []
    differences += [f"{len(missing)} built files are not published"] if missing else []
    if differences:
        raise CheckError(
            f"{commit}: {', and '.join(differences)}; was the version, were the binaries and keys given by "
            "--bazel_option as for the published build?"
        )
    say(f"{commit}: all {len(published)} published files are what was built")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
