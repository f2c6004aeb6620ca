"""Runs the actions that make files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.buildfiles.values import PROGRAM_INFO, Action, Args, File, Instance, Label
from tools.buildfiles.wheels import Wheels
from tools.buildfiles.workspace import Workspace
from tools.core.errors import UserError
from tools.fetch.download import Policy, fetch, locked, sha256_of

_DOWNLOADS = 8
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = ("TMPDIR", "http_proxy", "https_proxy", "no_proxy")

_KEPT = frozenset({"DebianBaseRoot", "DebianData"})
"""What is kept from build to build: it is slow, and changes with the packages only."""


class Executor:
    """Makes files, each once.

    Attributes:
        workspace: that says how.
        cache: folder of what is kept.
    """

    def __init__(
        self,
        workspace: Workspace,
        wheels: Wheels,
        cache: Path,
        policy: Policy,
        say: Callable[[str], None] = lambda _message: None,
    ) -> None:
        """Makes an executor that has made nothing yet.

        Args:
            workspace: that says how files are made.
            wheels: what programs import.
            cache: folder of what is kept.
            policy: how much trouble downloads take.
            say: takes messages for the user.
        """
        self.workspace = workspace
        self.cache = cache
        self._wheels = wheels
        self._policy = policy
        self._say = say
        self._done: set[Action] = set()

    def make(self, files: Iterable[File]) -> None:
        """Makes files, and before them what they are made of.

        Raises:
            UserError: an action failed; what its program had to say is on standard error.
        """
        order = self._order(files)
        self._download([action for action in order if action.urls])
        for action in order:
            if not action.urls:
                self._run(action)
            self._done.add(action)

    def _order(self, files: Iterable[File]) -> list[Action]:
        """Returns the actions that are left to do, each after those that it needs."""
        order: dict[Action, None] = {}
        actions = self.workspace.actions
        stack = [actions[file] for file in files if file in actions][::-1]
        while stack:
            action = stack[-1]
            needed = dict.fromkeys(actions[file] for file in action.inputs if file in actions)
            waiting = [each for each in needed if each not in order and each not in self._done]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if action not in self._done:
                order[action] = None
        return list(order)

    def _download(self, actions: list[Action]) -> None:
        missing = [action for action in actions if not os.path.exists(action.outputs[0].path)]
        if not missing:
            return
        self._say(f"downloading {len(missing)} packages")
        self.cache.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another build that uses {self.cache}"
        with locked(self.cache, lambda: self._say(waiting)), ThreadPoolExecutor(_DOWNLOADS) as executor:
            # Exceptions are raised here; what is under way is finished, what waits is not begun.
            futures = [executor.submit(self._fetch, action) for action in missing]
            try:
                for future in futures:
                    future.result()
            finally:
                executor.shutdown(cancel_futures=True)

    def _fetch(self, action: Action) -> None:
        path = Path(action.outputs[0].path)
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch(action.urls, path, action.sha256, self._policy)

    def _run(self, action: Action) -> None:
        for file in action.outputs:
            os.makedirs(os.path.dirname(file.path), exist_ok=True)
        if isinstance(action.content, File):
            os.symlink(action.content.path, action.outputs[0].path)
        elif action.content is not None:
            Path(action.outputs[0].path).write_bytes(action.content)
        elif action.program is not None:
            self._run_kept(action, action.program)

    def _run_kept(self, action: Action, program: Instance) -> None:
        """Runs a program, unless its outputs were kept from another build."""
        if action.mnemonic not in _KEPT:
            self._run_program(action, program)
            return
        kept = self.cache / "actions" / self._key(action, program)
        if not kept.exists():
            self._run_program(action, program)
            kept.parent.mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(dir=kept.parent)
            for number, file in enumerate(action.outputs):
                os.rename(file.path, f"{folder}/{number}")
            try:
                os.rename(folder, kept)
            except OSError:  # another build was faster
                shutil.rmtree(folder)
        for number, file in enumerate(action.outputs):
            os.symlink(kept / str(number), file.path)

    def _key(self, action: Action, program: Instance) -> str:
        """Returns a hash of all that an action's outputs depend on."""
        digests = {file.path: self._digest(file) for file in action.inputs}
        digests |= {file.path: str(number) for number, file in enumerate(action.outputs)}
        words = [word for group in action.arguments for word in (group.words if isinstance(group, Args) else [group])]
        for path, digest in digests.items():
            words = [word.replace(path, digest) for word in words]
        sources = [(file.short_path, sha256_of(Path(file.path))) for file in program.sources.to_list()]
        key = [program.module, sorted(sources), sorted(self._wheels.choose(program.wheels.to_list()).values()), words]
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()

    def _digest(self, file: File) -> str:
        action = self.workspace.actions.get(file)
        return action.sha256 if action is not None and action.sha256 else sha256_of(Path(file.path))

    def _run_program(self, action: Action, program: Instance) -> None:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self.workspace.output) as scratch:
            arguments = [word for group in action.arguments for word in _arguments(group, scratch)]
            if self._call(program, arguments):
                raise UserError(f"{action.label}: {action.mnemonic} failed; the reason is above")
        self._say(f"{time.monotonic() - began:6.1f} s  {action.message}")

    def run_tool(self, label: Label, arguments: Sequence[str]) -> None:
        """Runs a program that makes something else than the files of targets.

        Raises:
            UserError: it failed; what it had to say is on standard error.
        """
        if self._call(self.workspace.analyze(label)[PROGRAM_INFO], arguments):
            raise UserError(f"{label} failed; the reason is above")

    def _call(self, program: Instance, arguments: Sequence[str]) -> int:
        command = [sys.executable, "-P", "-s", "-m", program.module, *arguments]
        return subprocess.run(command, env=self._environment(program), check=False).returncode

    def _environment(self, program: Instance) -> Mapping[str, str]:
        paths = [str(self.workspace.root), *self._wheels.folders(program.wheels.to_list())]
        kept = {name: value for name in _ENVIRONMENT if (value := os.environ.get(name)) is not None}
        return kept | {
            "LANG": "C.UTF-8",
            "PATH": _PATH,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONPYCACHEPREFIX": str(self.cache / "bytecode"),  # not in the checkout, whose files are built from
        }


def _arguments(group: str | Args, scratch: str) -> list[str]:
    """Returns words for a command line; those that go by file are written to one."""
    if isinstance(group, str):
        return [group]
    if group.param_flag is None:
        return group.words
    fd, path = tempfile.mkstemp(dir=scratch)
    with open(fd, "w", encoding="utf-8") as file:
        file.write("".join(f"{word}\n" for word in group.words))
    return [group.param_flag % path]
