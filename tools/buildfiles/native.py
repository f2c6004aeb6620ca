"""The rules that come with Bazel, and those of other modules, as far as this repository's images need them.

bazel_skylib (https://github.com/bazelbuild/bazel-skylib), rules_pkg (https://github.com/bazelbuild/rules_pkg) and
rules_python (https://github.com/bazel-contrib/rules_python) are not here; what is, means the same as there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tools.buildfiles.rules import ATTR, Analyzing, Context, Declaring, Rule, unbuildable
from tools.buildfiles.values import (
    DEFAULT_INFO,
    OUTPUT_GROUP_INFO,
    PROGRAM_INFO,
    Depset,
    File,
    Instance,
    Label,
    Provider,
    Struct,
    Target,
    Text,
)
from tools.core.errors import UserError

BUILD_SETTING_INFO = Provider(name="BuildSettingInfo", fields=["value"])
_CONDITION_INFO = Provider(name="ConfigSettingInfo", fields=["holds"])
_PACKAGE_INFOS = {
    "PackageFilesInfo": ["attributes", "dest_src_map"],
    "PackageDirsInfo": ["attributes", "dirs"],
    "PackageSymlinkInfo": ["attributes", "destination", "target"],
    "PackageFilegroupInfo": ["pkg_files", "pkg_dirs", "pkg_symlinks"],
}

_NOT_BUILT = ("alias", "genrule", "test_suite", "py_test")


class Loading(Declaring, Analyzing, Protocol):
    """The workspace, as rules here see it."""

    settings: Mapping[Label, str]

    def loading(self) -> str:
        """Returns the package that is being loaded."""

    def glob(self, include: Sequence[str], exclude: Sequence[str]) -> list[str]:
        """Returns the files of the package that is being loaded, by patterns."""


class NativeRules:
    """The module `native`; its `names` are known in BUILD files as they are."""

    def __init__(self, workspace: Loading) -> None:
        self._workspace = workspace
        self.filegroup = self._rule(self._filegroup, srcs=ATTR.label_list(), output_group=ATTR.string())
        self.config_setting = self._rule(self._config_setting, flag_values=ATTR.string_dict())
        self.label_flag = self._rule(self._label_flag, build_setting_default=ATTR.string())
        self.names = ["config_setting", "exports_files", "filegroup", "glob", "label_flag", "package", "package_name"]
        for name in _NOT_BUILT:
            setattr(self, name, unbuildable(workspace))
            self.names.append(name)

    def _rule(self, implementation: Any, **attributes: Any) -> Rule:
        return Rule(self._workspace, implementation, attributes)

    def string_flag(self) -> Rule:
        """Returns skylib's rule."""
        return self._rule(self._string_flag, build_setting_default=ATTR.string(), values=ATTR.string_list())

    def declaring(self) -> Loading:
        """Returns what takes declarations."""
        return self._workspace

    def glob(self, include: Sequence[str], exclude: Sequence[str] = (), allow_empty: bool = True) -> list[str]:
        """Returns the files that match patterns."""
        del allow_empty
        return self._workspace.glob(include, exclude)

    def package_name(self) -> str:
        """Returns the name of the package that is being loaded."""
        return self._workspace.loading()

    def exports_files(self, srcs: Sequence[str], visibility: Any = None) -> None:
        """Does nothing: files are visible here."""

    def package(self, **_: Any) -> None:
        """Does nothing: packages have no properties here."""

    @staticmethod
    def matches(target: Target) -> bool:
        """Says whether a config_setting's condition holds."""
        return bool(target[_CONDITION_INFO].holds)

    @staticmethod
    def _filegroup(ctx: Context) -> Instance:
        if not ctx.attr.output_group:
            return DEFAULT_INFO(files=Depset(ctx.files.srcs))
        groups = [getattr(target[OUTPUT_GROUP_INFO], ctx.attr.output_group) for target in ctx.attr.srcs]
        return DEFAULT_INFO(files=Depset(transitive=groups))

    def _string_flag(self, ctx: Context) -> Instance:
        value = self._workspace.settings.get(ctx.label, ctx.attr.build_setting_default)
        if ctx.attr.values and value not in ctx.attr.values:
            raise UserError(f"--{ctx.label}: must be one of {', '.join(ctx.attr.values)}, not {value!r}")
        return BUILD_SETTING_INFO(value=Text(value))

    def _label_flag(self, ctx: Context) -> Target:
        value = self._workspace.settings.get(ctx.label, ctx.attr.build_setting_default)
        return self._workspace.analyze(Label.parse(value, ctx.label.repository, ctx.label.package))

    def _config_setting(self, ctx: Context) -> Instance:
        holds = True
        for flag, value in ctx.attr.flag_values.items():
            label = Label.parse(flag, ctx.label.repository, ctx.label.package)
            holds = holds and self._workspace.analyze(label)[BUILD_SETTING_INFO].value == value
        return _CONDITION_INFO(holds=holds)


def externals(native: NativeRules) -> dict[str, dict[str, Any]]:
    """Returns the global names of files of other modules, by label."""
    declaring = native.declaring()
    infos = {name: Provider(name=name, fields=fields) for name, fields in _PACKAGE_INFOS.items()}
    python = {"srcs": ATTR.label_list(), "deps": ATTR.label_list(), "main": ATTR.label()}
    rules_pkg = {
        "pkg_attributes": _pkg_attributes,
        "pkg_files": Rule(
            declaring,
            lambda ctx: _pkg_files(ctx, infos["PackageFilesInfo"]),
            {
                "srcs": ATTR.label_list(),
                "attributes": ATTR.string(default="{}"),
                "prefix": ATTR.string(),
                "renames": ATTR.label_keyed_string_dict(),
                "strip_prefix": ATTR.string(),
            },
        ),
        "pkg_mkdirs": Rule(
            declaring,
            lambda ctx: [infos["PackageDirsInfo"](attributes=_with_mode(ctx, "0755"), dirs=ctx.attr.dirs)],
            {"attributes": ATTR.string(default="{}"), "dirs": ATTR.string_list()},
        ),
        "strip_prefix": Struct(
            files_only=lambda: "",
            from_pkg=lambda path="": path.rstrip("/") + "/" if path else "/",
        ),
    }
    return {
        "@bazel_skylib//rules:common_settings.bzl": {
            "BuildSettingInfo": BUILD_SETTING_INFO,
            "string_flag": native.string_flag(),
        },
        "@bazel_skylib//rules:write_file.bzl": {
            "write_file": Rule(
                declaring,
                _write_file,
                {"out": ATTR.output(mandatory=True), "content": ATTR.string_list(), "newline": ATTR.string()},
            )
        },
        "@rules_pkg//pkg:mappings.bzl": rules_pkg,
        "@rules_pkg//pkg:providers.bzl": infos,
        "@rules_python//python:py_binary.bzl": {"py_binary": Rule(declaring, _python, python, any_attribute=True)},
        "@rules_python//python:py_library.bzl": {"py_library": Rule(declaring, _python, python, any_attribute=True)},
        "@rules_python//python:py_test.bzl": {"py_test": unbuildable(declaring)},
    }


def _pkg_attributes(**attributes: Any) -> str:
    return json.dumps({name: value for name, value in attributes.items() if value is not None})


def _with_mode(ctx: Context, mode: str) -> dict[str, Any]:
    given: dict[str, Any] = json.loads(ctx.attr.attributes)
    return {"mode": mode} | given


def _pkg_files(ctx: Context, info: Provider) -> list[Instance]:
    names = {file: name for target, name in ctx.attr.renames.items() for file in target.files()}
    places: dict[str, File] = {}
    for file in ctx.files.srcs:
        name = names.get(file) or _stripped(file, ctx.attr.strip_prefix)
        place = os.path.join(ctx.attr.prefix, name)
        if place in places:
            raise UserError(f"{ctx.label}: two files go to {place}")
        places[place] = file
    return [
        info(attributes=_with_mode(ctx, "0644"), dest_src_map=places),
        DEFAULT_INFO(files=Depset(places.values())),
    ]


def _stripped(file: File, prefix: str) -> str:
    """Returns where a file goes: its name, or its path below a folder of its package."""
    if not prefix:
        return file.basename
    path = file.short_path.removeprefix(f"{file.owner.package}/")
    return path.removeprefix(prefix) if prefix != "/" else path


def _write_file(ctx: Context) -> Instance:
    ctx.actions.write(ctx.outputs.out, "\n".join(ctx.attr.content))
    return DEFAULT_INFO(files=Depset([ctx.outputs.out]))


def _python(ctx: Context) -> list[Instance]:
    below = [target[PROGRAM_INFO] for target in ctx.attr.deps if PROGRAM_INFO in target]
    sources = Depset(ctx.files.srcs, [each.sources for each in below])
    wheels = Depset([], [each.wheels for each in below])
    main = ctx.files.main or ctx.files.srcs
    module = main[0].short_path.removesuffix(".py").replace("/", ".") if len(main) == 1 else ""
    info = PROGRAM_INFO(module=module, sources=sources, wheels=wheels)
    return [info, DEFAULT_INFO(files=Depset(ctx.files.srcs))]
