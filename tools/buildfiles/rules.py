"""Rules and their attributes, and what a rule's implementation is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tools.buildfiles.values import (
    PROGRAM_INFO,
    Action,
    Args,
    File,
    Instance,
    Label,
    Select,
    Struct,
    Target,
    files_of,
)
from tools.core.errors import UserError

_COMMON = frozenset(
    (
        "compatible_with",
        "deprecation",
        "exec_compatible_with",
        "exec_properties",
        "features",
        "name",
        "tags",
        "target_compatible_with",
        "testonly",
        "visibility",
    )
)
"""Attributes of every rule, which make no difference here."""

_EMPTY: dict[str, Any] = {
    "label": None,
    "label_list": [],
    "label_keyed_string_dict": {},
    "string": "",
    "string_list": [],
    "string_dict": {},
    "string_list_dict": {},
    "int": 0,
    "bool": False,
    "output": None,
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a rule: what kind of value it has, the default, and what else it says about itself."""

    kind: str
    default: Any
    mandatory: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def _attribute(kind: str) -> Callable[..., Attribute]:
    def make(default: Any = None, mandatory: bool = False, doc: str = "", **options: Any) -> Attribute:
        del doc
        return Attribute(kind, _EMPTY[kind] if default is None else default, mandatory, options)

    return make


class Transition:
    """A change of configuration: known, so that files that declare one can be loaded, and never made."""


ATTR = Struct(**{kind: _attribute(kind) for kind in _EMPTY})
"""The module `attr`."""


class Declaring(Protocol):
    """Takes targets as they are declared."""

    def declare(self, rule: Rule, name: str, attributes: dict[str, Any]) -> None:
        """Adds a target to the package whose BUILD file is being run."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A kind of target; calling it declares one.

    Attributes:
        declaring: takes the declarations.
        implementation: returns the providers of a target; None for what can't be built here.
        attributes: by name.
        any_attribute: whether other attributes are taken too, and left aside.
    """

    declaring: Declaring
    implementation: Callable[[Any], Any] | None
    attributes: Mapping[str, Attribute]
    any_attribute: bool = False

    def __call__(self, *, name: str, **values: Any) -> None:
        unknown = values.keys() - self.attributes.keys() - _COMMON
        if unknown and not self.any_attribute:
            raise UserError(f"{name}: its rule has no attribute {', '.join(sorted(unknown))}")
        self.declaring.declare(self, name, {key: value for key, value in values.items() if value is not None})


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    """A target before it is analyzed."""

    rule: Rule
    label: Label
    attributes: dict[str, Any]


class Analyzing(Protocol):
    """What analysis is done with."""

    output: Path

    def analyze(self, label: Label) -> Target:
        """Returns a target."""

    def matches(self, condition: Label) -> bool:
        """Says whether a condition of a `select` holds."""

    def add_action(self, action: Action) -> None:
        """Takes an action."""


class Context:
    """What a rule's implementation is given: `ctx`."""

    def __init__(self, analyzing: Analyzing, declaration: Declaration) -> None:
        self.label = declaration.label
        self.actions = Actions(analyzing, declaration.label)
        self.attr, self.file, self.files, self.executable, self.outputs = (Struct() for _ in range(5))
        self._analyzing = analyzing
        for name, attribute in declaration.rule.attributes.items():
            if attribute.mandatory and name not in declaration.attributes:
                raise UserError(f"{self.label}: attribute {name} is missing")
            value = declaration.attributes.get(name, attribute.default)
            self._set(name, attribute, self._resolve(value))

    def _resolve(self, value: Any) -> Any:
        if not isinstance(value, Select):
            return value
        return value.resolve(lambda condition: self._analyzing.matches(self._label(condition)))

    def _label(self, value: str | Label) -> Label:
        if isinstance(value, Label):
            return value
        return Label.parse(value, self.label.repository, self.label.package)

    def _set(self, name: str, attribute: Attribute, value: Any) -> None:
        if attribute.kind == "output":
            setattr(self.outputs, name, self.actions.declare_file(self._label(value).name))
        elif attribute.kind == "label":
            self._set_labels(name, attribute, [] if value is None else [value])
            setattr(self.attr, name, (getattr(self.attr, name) or [None])[0])
        elif attribute.kind == "label_list":
            self._set_labels(name, attribute, value)
        elif attribute.kind == "label_keyed_string_dict":
            self._set_labels(name, attribute, list(value))
            setattr(self.attr, name, dict(zip(getattr(self.attr, name), value.values(), strict=True)))
        else:
            setattr(self.attr, name, value)

    def _set_labels(self, name: str, attribute: Attribute, values: list[Any]) -> None:
        if isinstance(attribute.options.get("cfg"), Transition):
            raise UserError(f"{self.label}: {name}: is built in another configuration, which only Bazel can do")
        targets = [self._analyzing.analyze(self._label(value)) for value in values]
        setattr(self.attr, name, targets)
        if attribute.options.get("executable"):
            setattr(self.executable, name, targets[0][PROGRAM_INFO])
            return
        files = [file for target in targets for file in target.files()]
        setattr(self.files, name, files)
        if attribute.options.get("allow_single_file"):
            if len(files) > 1:
                raise UserError(f"{self.label}: {name}: needs one file, {targets[0].label} has {len(files)}")
            setattr(self.file, name, files[0] if files else None)


class Actions:
    """What implementations declare files and actions with: `ctx.actions`."""

    def __init__(self, analyzing: Analyzing, label: Label) -> None:
        self._analyzing = analyzing
        self._label = label

    def args(self) -> Args:
        """Returns arguments to add to."""
        return Args()

    def declare_file(self, name: str) -> File:
        """Returns a file that an action is to make."""
        short_path = f"{self._label.package}/{name}"
        return File(str(self._analyzing.output / short_path), self._label, short_path)

    def run(
        self,
        *,
        executable: Instance,
        outputs: list[File],
        arguments: list[Any],
        inputs: Any = (),
        mnemonic: str = "Action",
        progress_message: str = "",
        execution_requirements: Mapping[str, str] | None = None,
    ) -> None:
        """Declares an action that runs a program."""
        del execution_requirements
        message = progress_message or f"{mnemonic} %{{output}}"
        self._add(mnemonic, message, outputs, inputs, program=executable, arguments=tuple(arguments))

    def write(self, output: File, content: str, is_executable: bool = False) -> None:
        """Declares an action that writes a text."""
        del is_executable
        self._add("FileWrite", "", [output], content=content.encode())

    def symlink(self, *, output: File, target_file: File, is_executable: bool = False) -> None:
        """Declares an action that links to a file."""
        del is_executable
        self._add("Symlink", "", [output], [target_file], content=target_file)

    def _add(self, mnemonic: str, message: str, outputs: list[File], inputs: Any = (), **how: Any) -> None:
        files = tuple(files_of(inputs))
        for word, value in {
            "%{label}": self._label,
            "%{output}": outputs[0].short_path,
            "%{input}": files[0].short_path if files else "",
        }.items():
            message = message.replace(word, str(value))
        self._analyzing.add_action(
            Action(label=self._label, mnemonic=mnemonic, message=message, outputs=tuple(outputs), inputs=files, **how)
        )


def providers(returned: Any) -> list[Instance]:
    """Returns the providers that an implementation returned."""
    return list(returned) if isinstance(returned, list) else [returned] if returned is not None else []


def unbuildable(declaring: Declaring) -> Rule:
    """Returns a rule for targets that are declared in BUILD files, and needed for nothing that is built here."""
    return Rule(declaring, None, {}, any_attribute=True)
