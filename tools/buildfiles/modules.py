"""The repositories of Debian packages that MODULE.bazel declares, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tools.buildfiles.values import DEFAULT_INFO, Action, Depset, File, Label, Struct, Target
from tools.buildfiles.workspace import Repository, Workspace
from tools.core.errors import UserError
from tools.debian.lock import check_lock
from tools.debian.manifest import read_manifest

_PROVIDERS = Label("", "defs/private", "debian_providers.bzl")
_ARCHITECTURE = "amd64"


class _Extension:
    """A module extension: notes what it is used for."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.uses: list[dict[str, Any]] = []

    def __getattr__(self, _tag: str) -> Callable[..., None]:
        return lambda **attributes: self.uses.append(attributes)


def debian_repositories(root: Path, downloads: Path) -> dict[str, Repository]:
    """Returns the repositories of packages, by the name that labels have.

    Args:
        root: folder of the checkout.
        downloads: folder that has, or gets, the package files.
    """
    extensions: list[_Extension] = []
    names: dict[str, str] = {}

    def use_extension(file: str, _name: str, **_: Any) -> _Extension:
        extensions.append(_Extension(file))
        return extensions[-1]

    def use_repo(_extension: _Extension, *same: str, **renamed: str) -> None:
        names.update({original: name for name, original in {**{name: name for name in same}, **renamed}.items()})

    path = root / "MODULE.bazel"
    functions: dict[str, Any] = {name: lambda *_, **__: None for name in ("module", "bazel_dep")}
    known = {"__builtins__": {}, "use_extension": use_extension, "use_repo": use_repo, **functions}
    exec(compile(path.read_text(encoding="utf-8"), path, "exec", dont_inherit=True), known)
    locks = {
        names[use["name"]]: Label.parse(use["manifest"])
        for extension in extensions
        if extension.file == "//third_party/debian:extension.bzl"
        for use in extension.uses
        if use["name"] in names
    }
    return {name: _Hub(root, manifest, downloads) for name, manifest in locks.items()}


class _Hub:
    """The packages of one lock, which is read when the first of them is asked for."""

    def __init__(self, root: Path, manifest: Label, downloads: Path) -> None:
        self._label = manifest
        self._manifest = root / manifest.package / manifest.name
        self._path = self._manifest.with_name(self._manifest.stem + ".lock.json")
        self._downloads = downloads
        self._content: Mapping[str, Any] = {}

    def __call__(self, workspace: Workspace, label: Label) -> Target:
        content = self._lock()
        keys, provided = self._chosen(content, label)
        providers = Struct(**workspace.module(_PROVIDERS))
        infos = []
        for key in keys:
            package = content["packages"][key]
            infos.append(
                providers.DebianPackageInfo(
                    architecture=package["architecture"],
                    deb=self._file(workspace, label, package),
                    name=package["name"],
                    version=package["version"],
                )
            )
        files = Depset([info.deb for info in infos])
        return Target(
            label, [DEFAULT_INFO(files=files), providers.DebianPackagesInfo(packages=infos, provided=provided)]
        )

    def _chosen(self, content: Mapping[str, Any], label: Label) -> tuple[list[str], list[str]]:
        """Returns the keys of the packages of a set, or of one package, and what the set's image provides."""
        if label.package:
            packages = content["packages"].items()
            keys = [
                key
                for key, package in packages
                if package["name"] == label.name and package["architecture"] in (_ARCHITECTURE, "all")
            ]
            if not keys:
                raise UserError(f"{label}: is no package of {self._path}")
            return keys, []
        if label.name not in content["sets"]:
            raise UserError(f"{label}: is no set of {self._path}; there are {', '.join(content['sets'])}")
        chosen = content["sets"][label.name]
        return chosen["packages"][_ARCHITECTURE], chosen["provided"]

    def _lock(self) -> Mapping[str, Any]:
        if not self._content:
            command = f"bazel run //{self._label.package}:{self._manifest.stem}.lock"
            check_lock(read_manifest(self._manifest), self._path, command)
            self._content = json.loads(self._path.read_text(encoding="utf-8"))
        return self._content

    def _file(self, workspace: Workspace, label: Label, package: Mapping[str, Any]) -> File:
        """Returns a package file, with the action that downloads it."""
        name = package["path"].rpartition("/")[2]
        file = File(str(self._downloads / package["sha256"] / name), label, name)
        urls = self._content["archives"][package["archive"]]["urls"]
        action = Action(
            label=label,
            mnemonic="Download",
            message="",
            outputs=(file,),
            urls=tuple(f"{url}/{package['path']}" for url in urls),
            sha256=package["sha256"],
        )
        workspace.add_action(action)
        return file
