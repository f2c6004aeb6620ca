"""Tests of the arguments of a slot's kernel."""

import subprocess

import pytest

from tools.commands.boot_args import Arguments, environment_block, main, words
from tools.core.errors import UserError
from tools.testing.oracles import oracle


def test_comments_are_left_out():
    assert words("# a comment\na=1 b # more\n\nc\n") == ["a=1", "b", "c"]


def test_block_of_all_inputs(tmp_path):
    (tmp_path / "args").write_text("# why\nquiet\n")
    (tmp_path / "hash").write_text("00ff\n")
    output = tmp_path / "extra_boot_args"
    main(
        Arguments(
            input=(str(tmp_path / "args"),),
            word=("panic=10",),
            root_hash_file=str(tmp_path / "hash"),
            output=str(output),
        )
    )
    block = output.read_bytes()
    assert len(block) == 1024
    assert block.rstrip(b"#") == b"# GRUB Environment Block\nextra_boot_args=quiet panic=10 verity.root_hash=00ff\n"


def test_grub_reads_it(tmp_path):
    path = tmp_path / "block"
    path.write_bytes(environment_block(["a=1", "b,c:d"]))
    listed = subprocess.run([oracle("grub-editenv"), path, "list"], capture_output=True, check=True, text=True)
    assert listed.stdout == "extra_boot_args=a=1 b,c:d\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a b"], "'a b': must be printable"),
        (["$x"], "dollar"),
        (['"'], "quotes"),
        (["x" * 1000], "the arguments are [0-9]+ bytes too long"),
    ],
)
def test_what_grub_would_misread_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        environment_block(arguments)
