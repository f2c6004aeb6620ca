import io
import sys

import pytest

from tools.commands.tree_snapshot_check import Arguments, main
from tools.core.cli import call
from tools.core.errors import CheckError, UserError

TREE = "#mtree\n. type=dir mode=0755\n./a type=file mode=0644\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "built").write_text(TREE)
    (tmp_path / "kept").write_text(TREE)
    return tmp_path


def arguments(files, **changes):
    return Arguments(tree=str(files / "built"), **({"snapshot": str(files / "kept")} | changes))


def test_same(files, capsys):
    main(arguments(files))
    assert capsys.readouterr().out.endswith("kept: agrees with the image, 3 lines\n")


def test_difference(files, capsys):
    (files / "kept").write_text(TREE.replace("0644", "0600"))
    with pytest.raises(CheckError, match=r"kept: differs from the image, .*; if that is right: bazel run //:t.update"):
        main(arguments(files, command="bazel run //:t.update"))
    assert capsys.readouterr().out.splitlines()[2:] == [
        "@@ -3 +3 @@",
        "-./a type=file mode=0600",
        "+./a type=file mode=0644",
    ]


def test_differences_are_written_before_the_error(files, monkeypatch):
    (files / "kept").write_text(TREE.replace("0644", "0600"))
    log = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(log))
    with pytest.raises(CheckError):
        main(arguments(files))
    assert log.getvalue().endswith(b"+./a type=file mode=0644\n")


def test_without_a_list(files):
    missing = str(files / "missing")
    with pytest.raises(UserError, match=r"missing: there is no such list; to write it: bazel run //:t.update$"):
        main(arguments(files, snapshot=missing, command="bazel run //:t.update"))


def test_many_differences_are_cut(files, capsys):
    (files / "built").write_text(TREE + "".join(f"./{number} type=file\n" for number in range(1000)))
    with pytest.raises(CheckError):
        main(arguments(files))
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 201
    assert printed[-1] == "..."


def test_update(files, capsys):
    (files / "kept").write_text("old")
    main(arguments(files, snapshot=None, output=str(files / "kept")))
    assert capsys.readouterr().out == f"{files}/kept: written, 3 lines\n"
    assert (files / "kept").read_text() == TREE
    main(arguments(files))


def test_exit_status(files):
    (files / "kept").write_text("old")
    flags = [f"--tree={files}/built", f"--snapshot={files}/kept"]
    assert call(main, Arguments, "", ["tree_snapshot_check", *flags]) == 1


@pytest.mark.parametrize("changes", [{"snapshot": None}, {"output": "x"}])
def test_one_of_both(files, changes):
    with pytest.raises(UserError, match="--snapshot, --output: exclude each other; give one of them"):
        main(arguments(files, **changes))


def test_missing_file(files):
    (files / "built").unlink()
    with pytest.raises(UserError, match="built: cannot be read: No such file"):
        main(arguments(files))
