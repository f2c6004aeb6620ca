"""Loads BUILD and .bzl files, and analyzes the targets that are asked for.

The files are Starlark (https://bazel.build/rules/language), a dialect of Python without input and output, and run with
nothing but what the language has.
"""

from __future__ import annotations

import builtins
import json
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn, TypeVar

from tools.buildfiles.native import NativeRules, externals
from tools.buildfiles.rules import ATTR, Attribute, Context, Declaration, Rule, Transition, providers
from tools.buildfiles.values import (
    DEFAULT_INFO,
    OUTPUT_GROUP_INFO,
    Action,
    Depset,
    File,
    Label,
    Provider,
    Struct,
    Target,
    select,
    source_file,
)
from tools.core.errors import UserError

_T = TypeVar("_T")

BUILD_FILE = "BUILD.bazel"

_BUILTINS = (
    *("abs", "all", "any", "bool", "dict", "dir", "enumerate", "float", "getattr", "hasattr", "int", "len", "list"),
    *("max", "min", "range", "repr", "reversed", "set", "sorted", "str", "tuple", "zip"),
)
"""What Starlark has in common with Python."""

_TYPES = {
    str: "string",
    bool: "bool",
    int: "int",
    list: "list",
    tuple: "tuple",
    dict: "dict",
    type(None): "NoneType",
    File: "File",
    Label: "Label",
    Depset: "depset",
    Target: "Target",
    Struct: "struct",
}


def _type(value: object) -> str:
    return next((name for kind, name in _TYPES.items() if isinstance(value, kind)), "function")


def _fail(*messages: object) -> NoReturn:
    raise UserError(" ".join(map(str, messages)))


def _encode(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _understood(what: str, run: Callable[[], _T]) -> _T:
    """Returns what a function does that runs Starlark.

    Raises:
        UserError: it does something that Python, or what is here of the language, doesn't know.
    """
    try:
        return run()
    except (ArithmeticError, AttributeError, ImportError, LookupError, NameError, TypeError, ValueError) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename}:{last.lineno}"
        raise UserError(f"{what}: cannot be built without Bazel: {type(error).__name__}: {error} ({place})") from error


def _compile(path: Path) -> CodeType:
    try:
        return compile(path.read_text(encoding="utf-8"), path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise UserError(f"{path}:{error.lineno}: is more Starlark than Python knows: {error.msg}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


@dataclass(slots=True)
class Package:
    """What a BUILD file declares.

    Attributes:
        declarations: by name of the target.
        outputs: of targets, which are targets too: the target's name by the file's.
    """

    declarations: dict[str, Declaration] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


Repository = Callable[["Workspace", Label], Target]
"""Returns a target of another repository."""


class Workspace:
    """A checkout, as a build sees it.

    Attributes:
        root: folder of the checkout.
        output: folder where actions make their files.
        actions: of the targets that were analyzed, by each of their outputs.
        validations: files that actions make which only check something.
    """

    def __init__(
        self,
        root: Path,
        output: Path,
        *,
        settings: Mapping[str, str] | None = None,
        repositories: Mapping[str, Repository] | None = None,
        adjust: Callable[[Declaration], None] = lambda _declaration: None,
    ) -> None:
        """Makes a workspace in which nothing is loaded yet.

        Args:
            root: folder of the checkout.
            output: folder where actions are to make their files.
            settings: values of flags by label, such as `//ic-os/guestos:version`; defaults otherwise.
            repositories: the other repositories, by name.
            adjust: may change the attributes of each target that is declared.
        """
        self.root = root
        self.output = output
        self.actions: dict[File, Action] = {}
        self.validations: list[File] = []
        self.settings: Mapping[Label, str] = {Label.parse(label): value for label, value in (settings or {}).items()}
        self._repositories = repositories or {}
        self._adjust = adjust
        self._packages: dict[str, Package] = {}
        self._modules: dict[Label, dict[str, Any]] = {}
        self._targets: dict[Label, Target | None] = {}
        self._loading: list[tuple[str, Package]] = []
        self._native = NativeRules(self)
        self._externals = externals(self._native)

    def analyze(self, label: Label) -> Target:
        """Returns a target, and takes the actions that make its files.

        Raises:
            UserError: there is no such target, or it is wrong, or needs what is not known here.
        """
        if label not in self._targets:
            self._targets[label] = None
            self._targets[label] = _understood(f"{label}", lambda: self._analyzed(label))
        target = self._targets[label]
        if target is None:
            raise UserError(f"{label}: depends on itself")
        return target

    def _analyzed(self, label: Label) -> Target:
        if label.repository:
            if label.repository not in self._repositories:
                raise UserError(f"{label}: there is no repository {label.repository} here")
            return self._repositories[label.repository](self, label)
        package = self.package(label.package)
        if label.name in package.outputs:
            owner = self.analyze(Label("", label.package, package.outputs[label.name]))
            files = [file for file in self.actions if file.owner == owner.label and file.basename == label.name]
            return Target(label, [DEFAULT_INFO(files=Depset(files))])
        declaration = package.declarations.get(label.name)
        if declaration is None:
            file = source_file(self.root, label.package, label.name)
            if not Path(file.path).is_file():
                raise UserError(f"{label}: is neither declared in {label.package}/{BUILD_FILE} nor a file")
            return Target(label, [DEFAULT_INFO(files=Depset([file]))])
        return self._implement(declaration)

    def _implement(self, declaration: Declaration) -> Target:
        implementation = declaration.rule.implementation
        if implementation is None:
            raise UserError(f"{declaration.label}: is of a kind that only Bazel can build")
        returned = implementation(Context(self, declaration))
        if isinstance(returned, Target):
            return returned
        target = Target(declaration.label, providers(returned))
        if OUTPUT_GROUP_INFO in target:
            validation = getattr(target[OUTPUT_GROUP_INFO], "_validation", Depset())
            self.validations += validation.to_list()
        return target

    def matches(self, condition: Label) -> bool:
        """Says whether the settings are as a config_setting wants them."""
        return self._native.matches(self.analyze(condition))

    def add_action(self, action: Action) -> None:
        """Takes an action."""
        self.actions.update(dict.fromkeys(action.outputs, action))

    def package(self, name: str) -> Package:
        """Returns what a BUILD file declares."""
        if name not in self._packages:
            package = self._packages[name] = Package()
            self._loading.append((name, package))
            names = self._globals(Label("", name, BUILD_FILE))
            names |= {rule: getattr(self._native, rule) for rule in self._native.names}
            self._run(self.root / name / BUILD_FILE, names)
            self._loading.pop()
        return self._packages[name]

    def declare(self, rule: Rule, name: str, attributes: dict[str, Any]) -> None:
        """Adds a target to the package that is being loaded."""
        folder, package = self._loading[-1]
        if name in package.declarations:
            raise UserError(f"//{folder}:{name}: is declared twice")
        declaration = Declaration(rule, Label("", folder, name), attributes)
        self._adjust(declaration)
        package.declarations[name] = declaration
        for key, attribute in rule.attributes.items():
            if attribute.kind == "output" and key in attributes:
                package.outputs[attributes[key]] = name

    def module(self, label: Label) -> dict[str, Any]:
        """Returns the global names of a .bzl file."""
        if label.repository:
            if str(label) not in self._externals:
                raise UserError(f"{label}: is a file that is not known here")
            return self._externals[str(label)]
        if label not in self._modules:
            names = self._globals(label)
            names |= {
                "attr": ATTR,
                "native": self._native,
                "provider": Provider,
                "rule": self._rule(label),
                "transition": lambda **_: Transition(),
                "DefaultInfo": DEFAULT_INFO,
                "OutputGroupInfo": OUTPUT_GROUP_INFO,
            }
            self._run(self.root / label.package / label.name, names)
            self._modules[label] = names
        return self._modules[label]

    def _rule(self, file: Label) -> Callable[..., Rule]:
        def rule(implementation: Callable[[Any], Any], attrs: Mapping[str, Attribute] | None = None, **_: Any) -> Rule:
            attributes = {name: _absolute(attribute, file) for name, attribute in (attrs or {}).items()}
            return Rule(self, implementation, attributes)

        return rule

    def _globals(self, file: Label) -> dict[str, Any]:
        names: dict[str, Any] = {name: getattr(builtins, name) for name in _BUILTINS}

        def load(module: str, *same: str, **renamed: str) -> None:
            found = self.module(Label.parse(module, file.repository, file.package))
            for name, original in {**{name: name for name in same}, **renamed}.items():
                if original not in found:
                    raise UserError(f"{file}: {module} has no {original} that is known here")
                namespace[name] = found[original]

        namespace: dict[str, Any] = {
            "__builtins__": names,
            "Label": lambda text: Label.parse(text, file.repository, file.package),
            "depset": lambda direct=None, transitive=None: Depset(direct, transitive),
            "fail": _fail,
            "json": Struct(encode=_encode, decode=json.loads),
            "load": load,
            "print": lambda *_: None,
            "select": select,
            "struct": Struct,
            "type": _type,
        }
        return namespace

    @staticmethod
    def _run(path: Path, names: dict[str, Any]) -> None:
        _understood(f"{path}", lambda: exec(_compile(path), names))

    def loading(self) -> str:
        """Returns the package that is being loaded."""
        return self._loading[-1][0]

    def glob(self, include: Sequence[str], exclude: Sequence[str]) -> list[str]:
        """Returns the files of the package that is being loaded, by patterns; other packages are left out."""
        wanted, unwanted = _matcher(include), _matcher(exclude)
        return sorted(name for name in _files(self.root / self.loading(), "") if wanted(name) and not unwanted(name))


def _absolute(attribute: Attribute, file: Label) -> Attribute:
    """Returns an attribute whose default, if it is a label, no longer depends on where its rule is."""
    if attribute.kind == "label" and isinstance(attribute.default, str):
        default = Label.parse(attribute.default, file.repository, file.package)
        return Attribute(attribute.kind, default, attribute.mandatory, attribute.options)
    return attribute


def _files(folder: Path, prefix: str) -> Iterator[str]:
    for path in folder.iterdir():
        if path.is_dir():
            if not (path / BUILD_FILE).exists():
                yield from _files(path, f"{prefix}{path.name}/")
        else:
            yield prefix + path.name


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Returns a function that says whether a path matches a pattern, as `glob` has them."""
    parts = ["(?:" + _expression(pattern) + ")" for pattern in patterns]
    expression = re.compile("|".join(parts) or r"(?!)")
    return lambda path: expression.fullmatch(path) is not None


def _expression(pattern: str) -> str:
    words = re.split(r"(\*\*/|/\*\*$|^\*\*$|\*)", pattern)
    known = {"**/": "(?:[^/]+/)*", "/**": "/.+", "**": ".+", "*": "[^/]*"}
    return "".join(known.get(word, re.escape(word)) for word in words)
