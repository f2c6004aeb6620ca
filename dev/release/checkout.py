"""Reads the files of a git checkout's last commit."""

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
        executable: whether it is executable.
        symlink: whether `content` is the target of a symbolic link.
        content: content of the file, or target of the link.
    """

    path: bytes
    executable: bool
    symlink: bool
    content: bytes


@dataclass(frozen=True)
class Checkout:
    """A git checkout.

    Attributes:
        folder: its root directory.
    """

    folder: Path

    def check_clean(self) -> None:
        """Checks that there are no uncommitted changes or untracked files.

        Raises:
            UserError: there are, or there is no commit.
        """
        changes = self._git("status", "--porcelain", "-z", "--untracked-files=normal", "--no-renames")
        paths = sorted(entry[3:].decode(errors="replace") for entry in changes.split(b"\0") if entry)
        if paths:
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            what = f"{', '.join(paths[:3])}{more}"
            raise UserError(f"{self.folder}: there are uncommitted changes: {what}; commit, ignore or remove them")

    def files(self) -> Iterator[TrackedFile]:
        """Yields the files of the last commit, sorted by path, without those with the attribute export-ignore.

        They are read from git's objects, so line endings and modes in the checkout don't matter.

        Raises:
            UserError: an entry is neither a file nor a symbolic link.
        """
        entries = []
        for entry in self._git("ls-tree", "-r", "-z", "--full-tree", "HEAD").split(b"\0")[:-1]:
            about, _, path = entry.partition(b"\t")
            mode, _, blob = about.decode().split(" ")
            if mode not in (_REGULAR, _EXECUTABLE, _SYMLINK):
                what = f"is neither a file nor a symbolic link (git mode {mode})"
                raise UserError(f"{self.folder}/{path.decode(errors='replace')}: {what}")
            entries.append((path, mode, blob))
        left_out = self._left_out([path for path, _, _ in entries])
        entries = sorted(entry for entry in entries if entry[0] not in left_out)
        contents = self._contents([blob for _, _, blob in entries])
        for (path, mode, _), content in zip(entries, contents, strict=True):
            yield TrackedFile(path, mode == _EXECUTABLE, mode == _SYMLINK, content)

    def _left_out(self, paths: Sequence[bytes]) -> set[bytes]:
        """Returns the paths with the attribute export-ignore, which `git archive` omits."""
        output = self._git("check-attr", "-z", "--stdin", _LEFT_OUT, stdin=b"".join(path + b"\0" for path in paths))
        words = output.split(b"\0")[:-1]
        return {path for path, value in zip(words[::3], words[2::3], strict=True) if value == b"set"}

    def _contents(self, blobs: Sequence[str]) -> Iterator[bytes]:
        output = self._git("cat-file", "--batch", "--buffer", stdin="".join(f"{blob}\n" for blob in blobs).encode())
        at = 0
        for _ in blobs:
            start = output.index(b"\n", at) + 1
            end = start + int(output[at:start].split()[2])
            yield output[start:end]
            at = end + 1

    def _git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Returns the output of git.

        Raises:
            UserError: git fails, or isn't installed.
        """
        # Ignore the user's own attributes file, which could have export-ignore.
        command = ["git", "-C", str(self.folder), "-c", "core.attributesFile=/dev/null", *arguments]
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        except FileNotFoundError as error:
            raise UserError("git is not installed; releases are created from a git checkout") from error
        if done.returncode:
            output = " ".join(done.stderr.decode(errors="replace").split())
            raise UserError(f"{self.folder}: git {arguments[0]} fails: {output}")
        return done.stdout
