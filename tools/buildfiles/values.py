"""The values of the build language that Python doesn't have (https://bazel.build/rules/lib)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.core.errors import UserError


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """The name of a target or a file.

    Attributes:
        repository: empty for this one.
        package: path of the folder with the BUILD file.
        name: of the target, or the file's path in the package.
    """

    repository: str
    package: str
    name: str

    def __str__(self) -> str:
        return f"{'@' * bool(self.repository)}{self.repository}//{self.package}:{self.name}"

    @classmethod
    def parse(cls, text: str, repository: str = "", package: str = "") -> Label:
        """Returns the label in a text.

        Args:
            text: such as `//package:name`, `:name` or `@repository//package`.
            repository: that the text stands in.
            package: that the text stands in.

        Raises:
            UserError: it is none.
        """
        match = re.fullmatch(r"(?:@*([\w.~+-]*)//([^:]*))?:?([^:]*)", text)
        if not match or not text:
            raise UserError(f"{text!r} is not a label")
        if match[2] is not None:
            repository, package = match[1] if text.startswith("@") else repository, match[2]
        name = match[3] or package.rpartition("/")[2]
        if not name:
            raise UserError(f"{text!r} is not a label")
        return cls(repository, package, name)


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """A file that is there, or that an action makes.

    Attributes:
        path: of the file, absolute.
        owner: label of the file, or of the target that makes it.
        short_path: what rules go by, relative to the root of the repository.
    """

    path: str
    owner: Label
    short_path: str

    @property
    def basename(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.path)

    def __str__(self) -> str:
        return self.path


class Depset:
    """A set of values that shares what other sets hold."""

    def __init__(self, direct: Iterable[Any] | None = None, transitive: Sequence[Depset] | None = None) -> None:
        self._direct = list(direct or ())
        self._transitive = list(transitive or ())

    def to_list(self) -> list[Any]:
        """Returns the values, those of the sets that it was made of first, each once."""
        found: dict[Any, None] = {}
        seen: set[int] = set()
        self._collect(found, seen)
        return list(found)

    def _collect(self, found: dict[Any, None], seen: set[int]) -> None:
        if id(self) in seen:
            return
        seen.add(id(self))
        for inner in self._transitive:
            inner._collect(found, seen)
        found.update(dict.fromkeys(self._direct))


class Struct:
    """Named values."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no {name}; there are {', '.join(self.__dict__) or 'no names'}")


class Provider:
    """A kind of information that targets give; calling it makes an instance."""

    def __init__(self, doc: str = "", fields: Any = None, name: str = "provider") -> None:
        del doc
        self.name = name
        self._fields = None if fields is None else frozenset(fields)

    def __call__(self, **values: Any) -> Instance:
        if self._fields is not None and not values.keys() <= self._fields:
            raise UserError(f"{self.name}: has no field {', '.join(sorted(values.keys() - self._fields))}")
        return Instance(self, values)


class Instance(Struct):
    """What a target says as one provider has it."""

    def __init__(self, provider: Provider, values: Mapping[str, Any]) -> None:
        super().__init__(**values)
        self._provider = provider

    def provider(self) -> Provider:
        """Returns the kind of information."""
        return self._provider


DEFAULT_INFO = Provider(name="DefaultInfo")
OUTPUT_GROUP_INFO = Provider(name="OutputGroupInfo")
PROGRAM_INFO = Provider(name="ProgramInfo", fields=["module", "sources", "wheels"])
"""A Python program: the name of its module, all sources, and the names of the distributions that it needs."""


class Target:
    """An analyzed target: what it gives, by provider."""

    def __init__(self, label: Label | str, instances: Iterable[Instance]) -> None:
        """Makes a target.

        Args:
            label: of the target, or what to call it in messages.
            instances: of providers.
        """
        self.label = label
        self._instances = {instance.provider(): instance for instance in instances}
        self._instances.setdefault(DEFAULT_INFO, DEFAULT_INFO(files=Depset()))

    def __contains__(self, provider: Provider) -> bool:
        return provider in self._instances

    def __getitem__(self, provider: Provider) -> Any:
        if provider not in self._instances:
            raise UserError(f"{self.label}: gives no {provider.name}")
        return self._instances[provider]

    def files(self) -> list[File]:
        """Returns its files, in order."""
        info = self[DEFAULT_INFO]
        return info.files.to_list() if hasattr(info, "files") else []


class Text(str):
    """A string with a method of Starlark's."""

    __slots__ = ()

    def elems(self) -> list[str]:
        """Returns its characters."""
        return list(self)


@dataclass(frozen=True, slots=True)
class Select:
    """A value that depends on settings: parts that are added up, or merged, once conditions are known."""

    parts: tuple[Any, ...]

    def __add__(self, other: Any) -> Select:
        return Select((*self.parts, *_parts(other)))

    def __radd__(self, other: Any) -> Select:
        return Select((*_parts(other), *self.parts))

    __or__, __ror__ = __add__, __radd__

    def resolve(self, matches: Callable[[str], bool]) -> Any:
        """Returns the value.

        Args:
            matches: says of a condition, other than the default one, whether it holds.

        Raises:
            UserError: no condition holds.
        """
        values = [part.choose(matches) if isinstance(part, Choice) else part for part in self.parts]
        total = values[0]
        for value in values[1:]:
            total = total | value if isinstance(total, dict) else total + value
        return total


def _parts(value: Any) -> tuple[Any, ...]:
    return value.parts if isinstance(value, Select) else (value,)


@dataclass(frozen=True, slots=True)
class Choice:
    """Values by condition."""

    by_condition: dict[Any, Any]

    def choose(self, matches: Callable[[str], bool]) -> Any:
        """Returns the value of the condition that holds."""
        default = "//conditions:default"
        for condition, value in self.by_condition.items():
            if str(condition) != default and matches(str(condition)):
                return value
        if default not in self.by_condition:
            raise UserError(f"select: none of {', '.join(map(str, self.by_condition))} holds")
        return self.by_condition[default]


def select(by_condition: dict[Any, Any], no_match_error: str = "") -> Select:
    """Returns a value that depends on settings."""
    del no_match_error
    return Select((Choice(by_condition),))


@dataclass(slots=True)
class Args:
    """The arguments of an action."""

    words: list[Any] = field(default_factory=list)
    param_flag: str | None = None

    def add(self, name: Any, *values: Any, format: str = "%s") -> None:  # noqa: A002 - as the language has it
        """Adds a word, or a flag and its value."""
        *names, value = (name, *values)
        self.words += [*names, format % argument(value)]

    def add_all(self, name: Any, *values: Any, format_each: str = "%s", before_each: str | None = None) -> None:
        """Adds a word for each value, after a flag if there is one and any value."""
        *names, collection = (name, *values)
        items = collection.to_list() if isinstance(collection, Depset) else list(collection)
        self.words += names if items else []
        for item in items:
            self.words += [before_each] if before_each else []
            self.words.append(format_each % argument(item))

    def use_param_file(self, flag: str, use_always: bool = False) -> None:
        """Has the words handed over in a file."""
        if not use_always:
            raise UserError("use_param_file: is known here with use_always = True only")
        self.param_flag = flag

    def set_param_file_format(self, format: str) -> None:  # noqa: A002 - as the language has it
        """Says how words stand in the file."""
        if format != "multiline":
            raise UserError(f"set_param_file_format: {format!r} is not known here")


def argument(value: Any) -> str:
    """Returns a value as an argument of a command line."""
    if not isinstance(value, str | int | File | Label) or isinstance(value, bool):
        raise UserError(f"an action's argument cannot be {type(value).__name__}")
    return str(value)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Action:
    """How files are made.

    Attributes:
        label: of the target that needs them.
        mnemonic: what kind of work it is.
        message: what to tell the user.
        outputs: the files.
        inputs: what the work needs.
        program: that does it, or None.
        arguments: of the program: strings and `Args`.
        content: of the one output, where no program makes it: bytes, or a file to link to.
        urls: where the one output is downloaded from, where no program makes it.
        sha256: of the download.
    """

    label: Label
    mnemonic: str
    message: str
    outputs: tuple[File, ...]
    inputs: tuple[File, ...] = ()
    program: Instance | None = None
    arguments: tuple[Any, ...] = ()
    content: bytes | File | None = None
    urls: tuple[str, ...] = ()
    sha256: str = ""


def source_file(root: Path, package: str, name: str) -> File:
    """Returns a file of this repository."""
    short_path = f"{package}/{name}" if package else name
    return File(os.fspath(root / short_path), Label("", package, name), short_path)


def files_of(values: Any) -> Iterator[File]:
    """Yields the files of a list or a depset of files."""
    yield from values.to_list() if isinstance(values, Depset) else values
