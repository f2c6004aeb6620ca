"""Builds and tests the examples, which are separate modules, without the packages in ic-os/."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.downstream import MODULE_FLAGS, PLAIN_OUTPUT, RULES, Workspace, output_user_root
from tests.e2e.downstream import checked_in

EXAMPLES = sorted(file.parent.name for file in RULES.glob("examples/*/MODULE.bazel"))


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    found = checked_in(f"examples/{request.param}", tmp_path_factory.getbasetemp())
    yield found
    found.bazel("shutdown")


def test_which() -> None:
    assert EXAMPLES == ["ab-appliance", "arm64-kernel", "data-disk", "minimal-appliance"]


@pytest.mark.parametrize("example", EXAMPLES, indirect=True)
def test_example(example: Workspace) -> None:
    status, said = example.run("test", "//...")
    assert status == 0, said
    assert "tests pass." in said, said


@pytest.mark.parametrize("folder", [*(f"examples/{name}" for name in EXAMPLES), "tests/e2e/consumer", "."])
def test_bazel_run_of_a_test_keeps_its_outputs_as_files(folder: str) -> None:
    """`bazel run` reads no lines of `test`, and without the flag needs the program zip when the test has passed."""
    lines = (RULES / folder / ".bazelrc").read_text().splitlines()
    assert "build --nozip_undeclared_test_outputs" in lines


def query_in_template(folder: Path, values: dict[str, str], *query: str) -> str:
    """Returns what a query prints in a copy of the template.

    Args:
        folder: where to make the copy.
        values: texts of appliance.bzl to what stands in their place.
        query: its arguments.
    """
    copy = folder / "appliance"
    # Private keys of one's own are not in the repository.
    shutil.copytree(RULES / "examples/ab-appliance", copy, ignore=shutil.ignore_patterns("bazel-*", "*.key.pem"))
    changes = [("MODULE.bazel", 'path = "../.."', f'path = "{RULES}"')]
    changes += [("appliance.bzl", old, new) for old, new in values.items()]
    for name, old, new in changes:
        text = (copy / name).read_text()
        assert text.count(old) == 1, f"{name}: {old}"
        (copy / name).write_text(text.replace(old, new))
    workspace = Workspace(copy, output_user_root() or folder / "root")
    try:
        status, said = workspace.bazel("query", *PLAIN_OUTPUT, *MODULE_FLAGS, *query)
    finally:
        workspace.bazel("shutdown")
    assert status == 0, said
    return said


def rules_of_template(folder: Path, passwords: str) -> str:
    """Returns the tests of a copy of the template with other values, as BUILD rules.

    Args:
        folder: where to make the copy.
        passwords: a dict of Starlark.
    """
    values = {
        'DATA_SIZE = "512M"': 'DATA_SIZE = "1G"',
        'PRODUCT = "ab-appliance"': 'PRODUCT = "weather-station"',
        'PASSWORDS = {"root": "root"}': f"PASSWORDS = {passwords}",
    }
    return query_in_template(folder, values, "--output=build", "//tests:all")


def test_a_missing_private_key_is_visible(tmp_path: Path) -> None:
    """So Bazel says that it is missing; nothing is built."""
    key = "//:keys/own.key.pem"
    values = {'SIGNING_KEY = "keys/appliance.test-only.key.pem"': 'SIGNING_KEY = "keys/own.key.pem"'}
    said = query_in_template(tmp_path, values, f"visible(//tests:next.update, {key})")
    assert said.splitlines().count(key) == 1, said


def test_tests_of_the_template_follow_its_values(tmp_path: Path) -> None:
    """Product, password and size of the data are in one place; nothing is built."""
    rules = rules_of_template(tmp_path, '{"root": "secret"}')
    assert rules.count('"--password=secret"') == 2
    assert rules.count('units = ["ab-confirm.service", "appliance.service", "updater.service"]') == 2
    assert '"--password=root"' not in rules
    assert rules.count('"weather-station"') >= 3
    assert '"ab-appliance"' not in rules
    assert rules.count('partition_size = "1G"') >= 2
    assert '"512M"' not in rules


def test_tests_of_the_template_without_passwords(tmp_path: Path) -> None:
    """Without an account that logs in, boot tests have no commands, and nothing else that needs a login."""
    rules = rules_of_template(tmp_path, "{}")
    assert rules.count('"--password="') == 2
    assert "--root_hash" not in rules
    assert "ab-update status" not in rules
    assert '"ab-confirm.service"' not in rules
    assert rules.count("updater: slot A, version") == 3


@pytest.mark.parametrize("example", ["data-disk"], indirect=True)
def test_the_list_of_files_is_written_into_its_package(example: Workspace) -> None:
    """In the package at the root of a module, too, whose name is empty; nothing is built."""
    status, said = example.bazel(
        "query", *PLAIN_OUTPUT, *MODULE_FLAGS, "--output=build", "//:data_snapshot_test.update"
    )
    assert status == 0, said
    assert '"--output=workspace:data.mtree"' in said, said


@pytest.mark.parametrize("example", ["data-disk"], indirect=True)
def test_the_product_is_out_of_reach(example: Workspace) -> None:
    """The packages in ic-os/ are deleted, so the examples don't need them."""
    status, said = example.build("--nobuild", "@rules_icos//ic-os/guestos/payload:reference")
    assert status != 0
    assert "Package is considered deleted due to --deleted_packages" in said, said


@pytest.mark.parametrize("example", ["data-disk"], indirect=True)
def test_readme_shows_what_is_inside(example: Workspace) -> None:
    """The output of this example's commands is that in the repository's README."""
    readme = (RULES / "README.md").read_text()
    shown = re.findall(r"^\$ bazel run (\S+) -- bazel-bin/(\S+)(.*)\n((?:[^$`].*\n)+)", readme, re.MULTILINE)
    assert len(shown) == 2
    for command, path, options, output in shown:
        status, said = example.build(f"//:{path}")
        assert status == 0, said
        image = example.folder_of("bazel-bin") / path
        status, said = example.run("run", command, "--", str(image), *options.split())
        assert status == 0, said
        assert output in said
