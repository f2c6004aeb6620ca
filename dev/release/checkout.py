"""A checkout in git: what its last commit holds, and whether that's all there is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tools.core.errors import UserError

_LEFT_OUT = "export-ignore"
_REGULAR, _EXECUTABLE, _SYMLINK = "100644", "100755", "120000"


class TrackedFile(NamedTuple):
    """A file of a commit.

    Attributes:
        path: relative to the checkout.
        executable: whether it may be run.
        symlink: whether `content` is the target of a symbolic link.
        content: what is in it.
    """

    path: bytes
    executable: bool
    symlink: bool
    content: bytes


@dataclass(frozen=True)
class Checkout:
    """A checkout.

    Attributes:
        folder: its root.
    """

    folder: Path

    def check_clean(self) -> None:
        """Checks that the last commit holds all files as they are, but for ignored ones.

        Raises:
            UserError: it doesn't, or there's no commit.
        """
        changes = self._git("status", "--porcelain", "-z", "--untracked-files=normal", "--no-renames")
        paths = sorted(entry[3:].decode(errors="replace") for entry in changes.split(b"\0") if entry)
        if paths:
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            what = f"{', '.join(paths[:3])}{more}"
            raise UserError(f"{self.folder}: not all is committed: {what}; commit, ignore or remove it")

    def files(self) -> Iterator[TrackedFile]:
        """Yields the files of the last commit, by path, but for those that git is not to export.

        They are read as they were committed, whatever the checkout made of their ends of lines and modes.

        Raises:
            UserError: there's something else than files and symbolic links.
        """
        entries = []
        for entry in self._git("ls-tree", "-r", "-z", "--full-tree", "HEAD").split(b"\0")[:-1]:
            about, _, path = entry.partition(b"\t")
            mode, _, blob = about.decode().split(" ")
            if mode not in (_REGULAR, _EXECUTABLE, _SYMLINK):
                raise UserError(f"{self.folder}/{path.decode(errors='replace')}: is no file; git calls it {mode}")
            entries.append((path, mode, blob))
        left_out = self._left_out([path for path, _, _ in entries])
        entries = sorted(entry for entry in entries if entry[0] not in left_out)
        contents = self._contents([blob for _, _, blob in entries])
        for (path, mode, _), content in zip(entries, contents, strict=True):
            yield TrackedFile(path, mode == _EXECUTABLE, mode == _SYMLINK, content)

    def _left_out(self, paths: Sequence[bytes]) -> set[bytes]:
        """Returns the paths with the attribute of files that `git archive` leaves out."""
        said = self._git("check-attr", "-z", "--stdin", _LEFT_OUT, stdin=b"".join(path + b"\0" for path in paths))
        words = said.split(b"\0")[:-1]
        return {path for path, value in zip(words[::3], words[2::3], strict=True) if value == b"set"}

    def _contents(self, blobs: Sequence[str]) -> Iterator[bytes]:
        said = self._git("cat-file", "--batch", "--buffer", stdin="".join(f"{blob}\n" for blob in blobs).encode())
        at = 0
        for _ in blobs:
            start = said.index(b"\n", at) + 1
            end = start + int(said[at:start].split()[2])
            yield said[start:end]
            at = end + 1

    def _git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Returns what git says.

        Raises:
            UserError: it fails, or isn't there.
        """
        # What is left out is said by the checkout alone, not by the user's own settings.
        command = ["git", "-C", str(self.folder), "-c", "core.attributesFile=/dev/null", *arguments]
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        except FileNotFoundError as error:
            raise UserError("git is not installed; releases are made from a checkout in git") from error
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())
            raise UserError(f"{self.folder}: git {arguments[0]} fails: {said}")
        return done.stdout
