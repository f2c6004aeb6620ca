"""Runs the actions of a plan, without Bazel."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from modulefinder import ModuleFinder
from pathlib import Path

from guestos_tools.download import sha256_of
from guestos_tools.packages import Packages
from guestos_tools.plan import Action, Plan, fill
from guestos_tools.wheels import Wheels
from tools.core.errors import UserError

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = ("TMPDIR", "http_proxy", "https_proxy", "no_proxy")
_PACKAGES, _PROVIDED = "packages:", "provided:"


class Runner:
    """Makes files of a plan, each once."""

    def __init__(
        self,
        plan: Plan,
        distribution: str,
        placeholders: Mapping[str, Sequence[str]],
        packages: Packages,
        wheels: Wheels,
        *,
        workspace: Path,
        output: Path,
        cache: Path,
        say: Callable[[str], None] = lambda _message: None,
    ) -> None:
        """Makes a runner that has made nothing yet.

        Args:
            plan: says how files are made.
            distribution: that the images are made from.
            placeholders: what the references to placeholders other than packages stand for.
            packages: of the distribution.
            wheels: what commands import.
            workspace: folder of the checkout.
            output: folder for the outputs.
            cache: folder for what is kept from build to build.
            say: takes messages for the user.
        """
        self._actions = plan.by_output(distribution)
        self._plan = plan
        self._packages = packages
        self._wheels = wheels
        self._workspace = workspace
        self._output = output
        self._cache = cache
        self._say = say
        self._placeholders = dict(placeholders)
        for name in packages.sets():
            self._placeholders[_PACKAGES + name] = packages.files(name)
            self._placeholders[_PROVIDED + name] = packages.provided(name)
        self._made: set[str] = set()

    def make(self, name: str) -> Path:
        """Makes an output of the plan, and before it what it is made from.

        Raises:
            UserError: a package can't be downloaded, or a command failed; what it had to say is on standard error.
        """
        order: dict[str, Action] = {}
        self._collect(name, order)
        references = {reference for action in order.values() for reference in action.references()}
        sets = [each.removeprefix(_PACKAGES) for each in sorted(references) if each.startswith(_PACKAGES)]
        self._packages.download(sets, self._say)
        for action in order.values():
            self._make(action)
            self._made.update(action.outputs)
        return self._output / name

    def run_program(self, name: str, *arguments: str) -> None:
        """Runs one of the plan's programs.

        Raises:
            UserError: it failed; what it had to say is on standard error.
        """
        if self._call(self._plan.programs[name], arguments):
            raise UserError(f"{name} failed; the reason is above")

    def _collect(self, name: str, order: dict[str, Action]) -> None:
        """Adds the actions that an output needs, each after those that it needs itself, by their first output."""
        action = self._actions.get(name)
        if action is None or name in self._made or action.outputs[0] in order or not self._is_there(action):
            return
        for reference in action.references():
            if reference not in action.outputs:
                self._collect(reference, order)
        order[action.outputs[0]] = action

    def _is_there(self, action: Action) -> bool:
        return not action.only_with or bool(self._values(action.only_with))

    def _values(self, name: str) -> Sequence[str]:
        """Returns what a reference stands for."""
        if name in self._placeholders:
            return self._placeholders[name]
        if name in self._actions:
            return [str(self._output / name)] if self._is_there(self._actions[name]) else []
        return [] if ":" in name else [str(self._workspace / name)]

    def _make(self, action: Action) -> None:
        paths = [self._output / name for name in action.outputs]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        if action.content is not None:
            paths[0].write_text(fill(action.content, self._values), encoding="utf-8")
        elif self._is_kept(action):
            self._make_kept(action, paths)
        else:
            self._run(action)

    def _is_kept(self, action: Action) -> bool:
        """Returns whether outputs are kept from build to build: those that are made from nothing but packages."""
        inputs = [name for name in action.references() if name not in action.outputs]
        return all(name.startswith((_PACKAGES, _PROVIDED)) for name in inputs) and bool(inputs)

    def _make_kept(self, action: Action, paths: Sequence[Path]) -> None:
        kept = self._cache / "actions" / self._key(action)
        if not kept.exists():
            self._run(action)
            kept.parent.mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(dir=kept.parent)
            for number, path in enumerate(paths):
                path.rename(f"{folder}/{number}")
            try:
                os.rename(folder, kept)
            except OSError:  # another build was faster
                shutil.rmtree(folder)
        for number, path in enumerate(paths):
            path.symlink_to(kept / str(number))

    def _key(self, action: Action) -> str:
        """Returns a hash of all that the outputs of an action which is kept depend on."""
        inputs = {name: self._values(name) for name in action.references() if name not in action.outputs}
        packages = {name: [os.path.relpath(value, self._cache) for value in values] for name, values in inputs.items()}
        sources = [(path.relative_to(self._workspace).as_posix(), sha256_of(path)) for path in self._sources(action)]
        key = [asdict(action), packages, sources, sorted(self._wheels.choose(self._plan.wheels).values())]
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()

    def _sources(self, action: Action) -> list[Path]:
        """Returns the files of the checkout that a command consists of."""
        finder = ModuleFinder(path=[str(self._workspace)])
        finder.run_script(str(self._workspace / f"{action.module.replace('.', '/')}.py"))
        files = [vars(module)["__file__"] for module in finder.modules.values()]
        return sorted(Path(file) for file in files if file is not None)

    def _run(self, action: Action) -> None:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self._output) as scratch:
            arguments = fill(action.arguments, self._values)
            if action.spec is not None:
                spec = Path(scratch, "spec.json")
                spec.write_text(json.dumps(fill(action.spec, self._values)), encoding="utf-8")
                arguments = [f"--spec={spec}"]
            if self._call(action.module, arguments):
                raise UserError(f"{action.outputs[0]}: {action.mnemonic} failed; the reason is above")
        self._say(f"{time.monotonic() - began:6.1f} s  {action.mnemonic} {action.outputs[0]}")

    def _call(self, module: str, arguments: Sequence[str]) -> int:
        """Runs a command, and returns its exit status."""
        command = [sys.executable, "-P", "-s", "-m", module, *arguments]
        kept = {name: value for name in _ENVIRONMENT if (value := os.environ.get(name)) is not None}
        environment = kept | {
            "LANG": "C.UTF-8",
            "PATH": _PATH,
            "PYTHONPATH": os.pathsep.join([str(self._workspace), *self._wheels.folders(self._plan.wheels)]),
            "PYTHONPYCACHEPREFIX": str(self._cache / "bytecode"),  # not in the checkout, whose files are built from
        }
        return subprocess.run(command, env=environment, check=False).returncode
