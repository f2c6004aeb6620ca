"""References to the repository are checked, and nothing else in a document."""

from pathlib import Path, PurePosixPath

import pytest

from dev.lint.documents import Checkout, faults, main

BUILD = 'disk(\n    name = "a",\n)\n\ndisk(\n    name = "b",\n    size = 1,\n)\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for path in ("README.md", "tools/gpt/layout.py", "doc/guide.md", "examples/a/BUILD.bazel", "examples/a/files/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "examples/a/BUILD.bazel").write_text(BUILD)
    (tmp_path / "tools/gpt/layout.py").write_text("def read_layout(path):\n")
    (tmp_path / "doc/guide.md").write_text("# The guide\n\n## Part\n\n## A `name`: and, more\n\n## Part\n")
    (tmp_path / "doc/guide.adoc").write_text("= The guide\n\n== A part-of it\n\n----\n== Not a part\n----\n")
    return Checkout(tmp_path)


def found(checkout: Checkout, text: str, document: str = "README.md") -> list[str]:
    return list(faults(PurePosixPath(document), text, checkout))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[a](tools/gtp)", "README.md:1: link to tools/gtp: does not exist"),
        ("\n![a](doc/a.png)", "README.md:2: link to doc/a.png: does not exist"),
        ("[a](doc/gide.md#part)", "README.md:1: link to doc/gide.md#part: does not exist"),
        ("[a](#part)", "README.md:1: link to #part: README.md has no heading with the anchor part"),
        (
            "[a](doc/guide.md#p)",
            "README.md:1: link to doc/guide.md#p: guide.md has no heading with the anchor p",
        ),
        (
            "[a](doc/guide.adoc#_not_a_part)",
            "README.md:1: link to doc/guide.adoc#_not_a_part: guide.adoc has no heading with the anchor _not_a_part",
        ),
        ("[`a`](tools/gtp)", "README.md:1: link to tools/gtp: does not exist"),
        ("[`read`](tools/gpt/layout.py)", "README.md:1: read: is not in tools/gpt/layout.py"),
        ("`layout` in [a](tools/gpt/layout.py)", "README.md:1: layout: is not in tools/gpt/layout.py"),
        ("link:doc/a.adoc[a]", "README.md:1: link to doc/a.adoc: does not exist"),
        ("image::doc/a.png[a]", "README.md:1: link to doc/a.png: does not exist"),
        ("in `tools/gpt/lay.py`", "README.md:1: tools/gpt/lay.py: does not exist"),
        ("in `tools/gtp/`", "README.md:1: tools/gtp/: does not exist"),
        ("a\n\n    ./tools/run.sh --help", "README.md:3: ./tools/run.sh: does not exist"),
        ("```sh\ncat tools/run.sh\n```", "README.md:2: tools/run.sh: does not exist"),
        ("`bazel test //tools/gtp/...`", "README.md:1: package //tools/gtp: does not exist"),
        ('load("@rules_icos//tools/defs:a.bzl")', "README.md:1: package //tools/defs: does not exist"),
        ("`--//doc/flags:version=1`", "README.md:1: package //doc/flags: does not exist"),
    ],
)
def test_what_is_not_there(checkout: Checkout, text: str, fault: str) -> None:
    assert found(checkout, text) == [fault]


@pytest.mark.parametrize(
    "text",
    [
        "[a](tools/gpt) [b](doc/guide.md#part) [d](https://example.com/tools/x#here)",
        "[a](doc/guide.md#part-1) [b](doc/guide.md#a-name-and-more) [c](tools/gpt/layout.py#L1)",
        "# Here\n[a](#here) link:doc/guide.adoc#_a_part_of_it[a] link:doc/guide.adoc#_the_guide[a]",
        "`tools/gpt/layout.py`, `tools/gpt/`, `./tools/gpt`, `doc/guide.md`",
        "`defs/private/NAME.bzl` `tools/NAME.py` `and/or` `/tools/x` `2/3` `$HOME/tools`",
        "`bazel test //...` `//tools/...` `//tools/gpt:layout` `@rules_pkg//tools/x` https://tools/x",
        "    tar -xf bazel-bin/tools/x.tar artifacts/release/x",
        "[`read_layout`](tools/gpt/layout.py), `read_layout` in [a](tools/gpt/layout.py)",
        "`x`: [a](tools/gpt/layout.py), [`x`](doc/guide.md)",
        "a link is `[text](path)`; [`code`](tools/gpt)",
        "tools/no/code and tools/x in plain text",
    ],
)
def test_what_is_there_or_means_something_else(checkout: Checkout, text: str) -> None:
    assert found(checkout, text) == []


def test_paths_are_relative_to_a_folder_of_the_document(checkout: Checkout) -> None:
    text = "[a](files/x) `examples/a/files/x` [b](../../doc/guide.md) `//files:x`"
    assert found(checkout, text, "examples/a/README.md") == []
    assert found(checkout, "[a](examples/a/files/x)", "examples/a/README.md") != []


def excerpt(*lines: str, source: str = "From [examples/a/BUILD.bazel](examples/a/BUILD.bazel):") -> str:
    return "\n".join([source, "", "```starlark", *lines, "```", ""])


def test_excerpt(checkout: Checkout) -> None:
    assert found(checkout, excerpt("disk(", '    name = "b",', "    size = 1,", ")")) == []
    assert found(checkout, excerpt(*BUILD.splitlines())) == []
    assert found(checkout, excerpt("anything()", source="A sketch:")) == []
    labelled = excerpt("disk(x", source="From `examples/a/BUILD.bazel`, where `:tree` is a tree:")
    assert found(checkout, labelled) == [
        "README.md:4: differs from examples/a/BUILD.bazel: this paragraph is not in it"
    ]


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (["disk(", '    name = "c",', ")"], 4),
        (["disk(", '    name = "a",', ")", "", "disk(", ")"], 8),
        (["disk", '    name = "b",', "    size = 1,", ")"], 4),
    ],
)
def test_altered_excerpt(checkout: Checkout, lines: list[str], number: int) -> None:
    assert found(checkout, excerpt(*lines)) == [
        f"README.md:{number}: differs from examples/a/BUILD.bazel: this paragraph is not in it"
    ]


def test_excerpt_of_no_file(checkout: Checkout) -> None:
    faulty = found(checkout, excerpt("disk(", source="From `examples/b/BUILD.bazel`:"))
    assert faulty == [
        "README.md:1: examples/b/BUILD.bazel: does not exist",
        "README.md:4: differs from examples/b/BUILD.bazel: this paragraph is not in it",
    ]


def test_command(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(checkout.root)
    (checkout.root / "doc/guide.md").write_text("[a](a.md)\n")
    assert main(["README.md", "doc/guide.md"]) == 1
    assert capsys.readouterr().err == "doc/guide.md:1: link to a.md: does not exist\n"
    assert main(["README.md"]) == 0
