"""Builds and tests the examples, which are separate modules, without the packages in ic-os/."""

from collections.abc import Iterator

import pytest

from tests.e2e.downstream import Downstream, output_user_root
from tests.faults.workspace import RULES

EXAMPLES = sorted(file.parent.name for file in RULES.glob("examples/*/MODULE.bazel"))


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downstream]:
    found = Downstream(RULES / "examples" / request.param, output_user_root(tmp_path_factory.getbasetemp()))
    yield found
    found.bazel("shutdown")


def test_which() -> None:
    assert EXAMPLES == ["ab-appliance", "data-disk", "minimal-appliance"]


@pytest.mark.parametrize("example", EXAMPLES, indirect=True)
def test_example(example: Downstream) -> None:
    status, said = example.build("test", "//...")
    assert status == 0, said
    assert "tests pass." in said, said


@pytest.mark.parametrize("example", ["data-disk"], indirect=True)
def test_the_product_is_out_of_reach(example: Downstream) -> None:
    """The packages in ic-os/ are deleted, so the examples don't need them."""
    status, said = example.build("build", "--nobuild", "@rules_icos//ic-os/guestos/payload:reference")
    assert status != 0
    assert "Package is considered deleted due to --deleted_packages" in said, said
