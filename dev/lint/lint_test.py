"""Tests that each check reports a fault, accepts correct files, and fixes what it can fix."""

import json
import os
from pathlib import Path

import pytest

from dev.lint.checks import CHECKS
from dev.lint.lint import Arguments, lay_out, lay_out_for, main, read_index, run_check
from tools.core.cli import call
from tools.core.errors import UserError

# For each check a file, a content with a fault, and a correct content.
SAMPLES = [
    ("buildifier", "BUILD.bazel", 'filegroup(name="a")\n', 'filegroup(name = "a")\n'),
    ("buildifier", "a.bzl", '"""Doc."""\n\nload(":b.bzl", "b")\n', '"""Doc."""\n'),
    ("ruff_check", "a.py", "import os\n", "\n"),
    ("ruff_format", "a.py", "x=1\n", "x = 1\n"),
    ("mypy", "tools/a.py", "def f(x):\n    return x\n", "def f(x: int) -> int:\n    return x\n"),
    ("imports", "tools/image/a.py", "import tools.tar.reader\n", "import tools.core.errors\n"),
    ("imports", "tools/image/a.py", "from tools.testing import images\n", "from tools.core import errors\n"),
    ("imports", "tools/ext4/format/a.py", "from tools.ext4 import writer\n", "from tools.ext4.format import group\n"),
    ("imports", "tools/core/a.py", "from tools.other import a\n", "from os import path\n"),
    ("documents", "a/README.md", "[b](b.md)\n", "[a](README.md)\n"),
    ("documents", "a/README.md", "Look into `a/b.md`.\n", "Look into `a/README.md`.\n"),
    ("mypy", "tools/a_test.py", "def test_f() -> None:\n    len(1)\n", "def test_f():\n    len(1)\n"),
    ("shellcheck", "a.sh", "#!/bin/sh\necho $1\n", '#!/bin/sh\necho "$1"\n'),
    ("shfmt", "a", "#!/bin/sh\nif true;then\necho\nfi\n", "#!/bin/sh\nif true; then\n\techo\nfi\n"),
]


def programs_for(check: str) -> dict[str, str]:
    """Returns the path of a check's program, from the environment that the test target sets."""
    name = CHECKS[check].command[0]
    if name in ("dev.lint.documents", "dev.lint.imports"):
        return {}
    if name == "mypy":
        pytest.importorskip("mypy")
        return {}
    path = os.environ.get(f"LINT_{name.upper()}")
    if path is None:
        pytest.skip(f"{name} is not available; run bazel test //dev/lint:lint_test, on x86_64 for shellcheck")
    return {name: str(Path(path).absolute())}


@pytest.mark.parametrize(("check", "path", "bad", "good"), SAMPLES, ids=[f"{s[0]}-{s[1]}" for s in SAMPLES])
def test_check(capfd: pytest.CaptureFixture[str], tmp_path: Path, check: str, path: str, bad: str, good: str) -> None:
    programs = programs_for(check)
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "pyproject.toml").write_text("[tool.mypy]\nstrict = true\nexplicit_package_bases = true\n")
    file.write_text(bad)
    assert not run_check(CHECKS[check], [path], tmp_path, programs)
    found = capfd.readouterr()
    assert path in found.out + found.err
    file.write_text(good)
    assert run_check(CHECKS[check], [path], tmp_path, programs)
    assert not any(capfd.readouterr())


@pytest.mark.parametrize(("check", "path", "bad", "good"), [s for s in SAMPLES if CHECKS[s[0]].fix])
def test_fix(tmp_path: Path, check: str, path: str, bad: str, good: str) -> None:
    file = tmp_path / path
    file.write_text(bad)
    assert run_check(CHECKS[check], [path], tmp_path, programs_for(check), fix=True)
    assert file.read_text().strip() == good.strip()


def test_every_check_is_tried() -> None:
    assert {check for check, *_ in SAMPLES} == set(CHECKS)


def test_mypy_is_for_the_tools() -> None:
    assert CHECKS["mypy"].selects("tools/a.py")
    assert CHECKS["mypy"].selects("ic-os/guestos/tools/guestos_tools/a.py")
    assert not CHECKS["mypy"].selects("ic-os/a.py")


def test_no_file_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no python file to check"):
        run_check(CHECKS["mypy"], ["ic-os/a.py"], tmp_path, {})


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("configuration", "pyproject.toml"),
        ("document", "README.md"),
        ("paths", ".bcr/presubmit.yml"),
        ("paths", ".github/workflows/release.yaml"),
        ("paths", "ic-os/guestos/partitions.csv"),
        ("python", "dev/lint/lint_test.py"),
        ("shell", ".ci/run"),
        ("shell", ".github/workflows/release_prep.sh"),
        ("shell", "gitlab-ci/container/container-run.sh"),
        ("starlark", "dev/lint/BUILD.bazel"),
        ("starlark", "dev/lint/checkout.bzl"),
    ],
)
def test_checkout_is_listed(kind: str, path: str) -> None:
    listed = os.environ.get("LINT_INDEX")
    if listed is None:
        pytest.skip("there is no listing; run bazel test //dev/lint:lint_test")
    index = read_index(Path(listed))
    assert path in index[kind]
    assert not [path for paths in index.values() for path in paths if path.startswith(("bazel-", ".git/"))]


def test_files_are_laid_out_as_in_the_checkout(tmp_path: Path) -> None:
    source = tmp_path / "repository"
    (source / "a").mkdir(parents=True)
    (source / "a" / "BUILD.bazel.file").write_text("content")
    (source / "index.json").write_text(json.dumps({"starlark": ["a/BUILD.bazel"]}))
    index = read_index(source / "index.json")
    lay_out(source, index["starlark"], tmp_path / "out")
    assert (tmp_path / "out" / "a" / "BUILD.bazel").read_text() == "content"


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--check=imports"], 1, "error: imports: see the lines above\n"),
        (["--check=imports", "--checkout=out"], 0, ""),
        (["--check=none"], 2, "error: --check=none: must be one of buildifier, "),
        (["--fix"], 2, "error: --fix: needs --checkout"),
        (["--program=ruff"], 2, "error: --program: must be NAME=FILE"),
    ],
)
def test_command_line(capfd, monkeypatch, tmp_path, flags, status, message) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, text in (("repository", "import tools.tar.reader\n"), ("out", "import tools.core.errors\n")):
        path = tmp_path / folder / "tools/image/a.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.with_name("a.py.file").write_text(text)
    index = {"configuration": [], "python": ["tools/image/a.py"]}
    (tmp_path / "repository/index.json").write_text(json.dumps(index))
    assert call(main, Arguments, "", ["lint", "--index=repository/index.json", *flags]) == status
    error = capfd.readouterr().err
    assert message in error
    assert ("tools/image/a.py:1: " in error) == (status == 1)


def test_names_of_other_files_are_laid_out(tmp_path: Path) -> None:
    """A check of documents asks whether a file is there, and reads some that are not documents."""
    source = tmp_path / "repository"
    index = {"configuration": [], "document": ["README.md"], "python": [], "starlark": ["a/BUILD.bazel"]}
    for path in ("README.md", "a/BUILD.bazel"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / f"{path}.file").write_text("content")
    index["paths"] = ["README.md", "a/BUILD.bazel", "b/layout.csv"]
    lay_out_for(CHECKS["documents"], source, index, tmp_path / "out")
    sizes = {path: (tmp_path / "out" / path).stat().st_size for path in index["paths"]}
    assert sizes == {"README.md": 7, "a/BUILD.bazel": 7, "b/layout.csv": 0}
    lay_out_for(CHECKS["ruff_check"], source, index, tmp_path / "python")
    assert not (tmp_path / "python").exists()
