"""The examples, each a module of its own: built and tested as its README says, without anything of ic-os/."""

import re
from collections.abc import Iterator

import pytest

from tests.downstream import RULES, Workspace
from tests.e2e.downstream import checked_in

EXAMPLES = sorted(file.parent.name for file in RULES.glob("examples/*/MODULE.bazel"))


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    found = checked_in(f"examples/{request.param}", tmp_path_factory.getbasetemp())
    yield found
    found.bazel("shutdown")


def test_which() -> None:
    assert EXAMPLES == ["ab-appliance", "data-disk", "minimal-appliance"]


@pytest.mark.parametrize("example", EXAMPLES, indirect=True)
def test_example(example: Workspace) -> None:
    status, said = example.run("test", "//...")
    assert status == 0, said
    assert "tests pass." in said, said


@pytest.mark.parametrize("example", ["data-disk"], indirect=True)
def test_the_product_is_out_of_reach(example: Workspace) -> None:
    """The examples would not build if they needed it."""
    status, said = example.build("--nobuild", "@rules_icos//ic-os/guestos/payload:reference")
    assert status != 0
    assert "Package is considered deleted due to --deleted_packages" in said, said


@pytest.mark.parametrize("example", ["data-disk"], indirect=True)
def test_readme_shows_what_is_inside(example: Downstream) -> None:
    """What the README of the repository shows of this example is what its commands print."""
    readme = (RULES / "README.md").read_text()
    shown = re.findall(r"^\$ bazel run (\S+) -- bazel-bin/(\S+)(.*)\n((?:[^$`].*\n)+)", readme, re.MULTILINE)
    assert len(shown) == 2
    for command, path, options, output in shown:
        assert example.build("build", f"//:{path}")[0] == 0
        image = example.folder_of("bazel-bin") / path
        status, said = example.build("run", command, "--", str(image), *options.split())
        assert status == 0, said
        assert output in said
