"""Renders the pages of the reference in Markdown, from the output of Bazel's rule `starlark_doc_extract`.

For the messages see src/main/protobuf/stardoc_output.proto of Bazel, message ModuleInfo.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dev.reference.textproto import Message
from tools.core.errors import UserError

_TYPES = {
    "BOOLEAN": "bool",
    "INT": "int",
    "INT_LIST": "list of ints",
    "LABEL": "label",
    "LABEL_LIST": "list of labels",
    "LABEL_STRING_DICT": "dict of label to string",
    "NAME": "name",
    "OUTPUT": "name of an output",
    "OUTPUT_LIST": "list of names of outputs",
    "STRING": "string",
    "STRING_DICT": "dict of string to string",
    "STRING_LIST": "list of strings",
    "STRING_LIST_DICT": "dict of string to list of strings",
}
_KINDS = ("rule_info", "func_info", "module_extension_info", "repository_rule_info", "provider_info")
_NAMES = ("rule_name", "function_name", "extension_name", "provider_name")


@dataclass(frozen=True)
class Page:
    """A page of the reference, for one .bzl file.

    Attributes:
        name: name of the page, without suffix.
        module: ModuleInfo of the file.
    """

    name: str
    module: Message

    def __post_init__(self) -> None:
        """Checks that all definitions of the file are supported.

        Raises:
            UserError: a definition is not.
        """
        for field in self.module.names():
            if field.endswith("_info") and field not in _KINDS:
                what = f"defines something other than a rule, macro, provider or module extension ({field})"
                raise UserError(f"{self.label()}: {what}; add it to dev/reference/markdown.py")

    def label(self) -> str:
        """Returns the label of the file in other repositories."""
        return "@rules_icos" + self.module.text("file")

    def symbols(self) -> list[tuple[str, str, Message]]:
        """Returns (name, kind such as `rule_info`, message) for each definition of the file, providers last."""
        found = [(symbol_name(info), kind, info) for kind in _KINDS for info in self.module.messages(kind)]
        return sorted(found, key=lambda symbol: (symbol[1] == "provider_info", symbol[0]))


def symbol_name(info: Message) -> str:
    """Returns the name of a rule, function, provider or module extension."""
    return next(filter(None, map(info.text, _NAMES)))


class Reference:
    """All pages, with links between them."""

    def __init__(self, pages: Sequence[Page], rules: Mapping[str, Message]) -> None:
        """Creates a reference.

        Args:
            pages: the pages, in the order of the index.
            rules: by the name of a macro, the RuleInfo of the rule whose attributes it accepts.
        """
        self._pages = pages
        self._rules = rules
        self._places = {name: page.name for page in pages for name, _, _ in page.symbols()}

    def index(self, note: str) -> str:
        """Renders the index page.

        Args:
            note: introduction.
        """
        parts = ["# Reference\n", note]
        for page in self._pages:
            docstring = _text(page.module.text("module_docstring"))
            parts.append(f"## [`{page.label()}`]({page.name}.md)\n\n{_paragraphs(docstring)[0]}\n")
            lines = [
                f"- {self._link(name)}: {_summary(_text(info.text('doc_string')))}" for name, _, info in page.symbols()
            ]
            parts.append("\n".join(lines) + "\n")
        return "\n".join(parts)

    def page(self, page: Page) -> str:
        """Renders a page."""
        parts = [f"# {page.label().partition('//')[2].replace(':', '/')}\n"]
        parts.append(_text(page.module.text("module_docstring")) + "\n")
        for name, kind, info in page.symbols():
            parts.append(f"## {name}\n")
            if kind == "module_extension_info":
                parts.append(_code(f'{name} = use_extension("{page.label()}", "{name}")'))
            else:
                parts.append(_code(f'load("{page.label()}", "{name}")'))
            parts.append(_text(info.text("doc_string")) + "\n")
            parts += filter(None, self._details(kind, name, info))
        return "\n".join(parts)

    def _details(self, kind: str, name: str, info: Message) -> list[str]:
        if kind == "provider_info":
            return [_list("Fields", [_item(f"`{field.text('name')}`", field) for field in info.messages("field_info")])]
        if kind == "func_info":
            return self._function(name, info)
        if kind == "module_extension_info":
            return [
                part
                for tag in info.messages("tag_class")
                for part in (
                    f"### {name}.{tag.text('tag_name')}\n",
                    _text(tag.text("doc_string")) + "\n",
                    self._attributes("Attributes", tag.messages("attribute")),
                )
            ]
        return [self._attributes("Attributes", info.messages("attribute")), self._provides(info)]

    def _function(self, name: str, info: Message) -> list[str]:
        parameters = info.messages("parameter")
        parts = [_list("Parameters", map(_parameter, parameters))]
        if returned := info.message("return").text("doc_string"):
            parts.append(f"Returns: {_text(returned)}\n")
        if rule := self._rules.get(name):
            known = {parameter.text("name") for parameter in parameters}
            # Outputs are named by the macro.
            more = [
                attribute
                for attribute in rule.messages("attribute")
                if attribute.text("name") not in known and attribute.text("type") != "OUTPUT"
            ]
            parts += [self._attributes("Attributes of the rule", more), self._provides(rule)]
        return parts

    def _attributes(self, title: str, attributes: Iterable[Message]) -> str:
        """Renders a list of attributes: the name, then required ones, then the others."""

        def order(attribute: Message) -> tuple[bool, bool, str]:
            name = attribute.text("name")
            return name != "name", attribute.text("mandatory") != "true", name

        items = [_item(self._attribute(attribute), attribute) for attribute in sorted(attributes, key=order)]
        return _list(title, items)

    def _attribute(self, attribute: Message) -> str:
        kind = _TYPES.get(attribute.text("type"), attribute.text("type").lower())
        groups = [" and ".join(self._links(group)) for group in attribute.messages("provider_name_group")]
        if groups:
            kind = re.sub("labels?", lambda found: f"{found[0]} with {' or '.join(groups)}", kind)
        need = "required" if attribute.text("mandatory") == "true" else f"default `{attribute.text('default_value')}`"
        return f"`{attribute.text('name')}` ({kind}; {need})"

    def _provides(self, info: Message) -> str:
        links = self._links(info.message("advertised_providers"))
        return f"Provides {', '.join(links)}.\n" if links else ""

    def _links(self, group: Message) -> list[str]:
        return [self._link(name) for name in group.texts("provider_name")]

    def _link(self, name: str) -> str:
        page = self._places.get(name)
        return f"[`{name}`]({page}.md#{name.lower()})" if page else f"`{name}`"


def _parameter(parameter: Message) -> str:
    name, default = parameter.text("name"), parameter.text("default_value")
    if parameter.text("mandatory") == "true":
        return _item(f"`{name}` (required)", parameter)
    if default:
        return _item(f"`{name}` (default `{default}`)", parameter)
    return _item(f"`{'**' if name == 'kwargs' else '*'}{name}`", parameter)


def _item(head: str, info: Message) -> str:
    """Renders a list item: a name and its docstring."""
    text = _text(info.text("doc_string"))
    text = text[:1].upper() + text[1:]
    return f"- {head}: " + textwrap.indent(text, "  ").lstrip() + "\n"


def _list(title: str, items: Iterable[str]) -> str:
    return f"**{title}**\n\n" + "".join(items)


def _code(text: str) -> str:
    return f"```starlark\n{text}\n```\n"


def _text(docstring: str) -> str:
    return inspect.cleandoc(docstring)


def _paragraphs(text: str) -> list[str]:
    return text.split("\n\n")


def _summary(text: str) -> str:
    """Returns the first sentence, in one line."""
    paragraph = " ".join(_paragraphs(text)[0].split())
    return paragraph.partition(". ")[0].removesuffix(".") + "."
