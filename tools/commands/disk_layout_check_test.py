"""Tests of the check of a disk's layout."""

import pytest

from tools.commands.disk_layout_check import Arguments, PartitionSize, main
from tools.core.errors import UserError

GUID = "2B110BB7-CDEC-7D41-B97E-893EDCBE5428"


@pytest.fixture
def check(tmp_path):
    layout = tmp_path / "partitions.csv"
    layout.write_text("one,2048,2048,L,,one_size\ntwo,4096,4096,L,,\n")
    output = tmp_path / "checked"

    def run(*sizes, **arguments):
        partitions = tuple(PartitionSize(*size) for size in sizes)
        main(Arguments(layout=str(layout), disk_guid=GUID, partitions=partitions, output=str(output), **arguments))

    run.layout = layout
    run.output = output
    return run


def test_what_fits_passes(check):
    check(("one", 1 << 20), ("two", 1))
    assert check.output.read_bytes() == b""


def test_the_hash_tree_is_counted(check):
    """It takes 4 blocks: the superblock, two of digests of the data, one of the digests of those."""
    check(("one", 252 * 4096, True))
    with pytest.raises(UserError, match="and 1052672 are needed"):
        check(("one", 253 * 4096, True))
    assert PartitionSize("root", 64 << 20, hash_tree=True).needed == 67641344


def test_what_does_not_fit_comes_with_what_to_do(check):
    with pytest.raises(UserError) as caught:
        check(("one", (1 << 20) + 1, False, "//:image"))
    assert str(caught.value).partition("bytes in ")[2] == (
        f"{check.layout}, and 1048577 are needed for //:image (comment of the partition: one_size); enlarge the "
        "partition to at least 2M, or reduce the partition_size of its image"
    )
    with pytest.raises(UserError, match=r"or reduce //app:disk: root_files_size$"):
        check(("one", (1 << 20) + 1, False, "//:image", "//app:disk: root_files_size"))


@pytest.mark.parametrize(
    ("sizes", "arguments", "message"),
    [
        ([("one", (1 << 20) + 1)], {}, "partition one: has 1048576 bytes in .*partitions.csv, and 1048577 are needed"),
        (
            [("three", 1)],
            {},
            "partition three: is not in .*partitions.csv, which has one, two; correct the name.*, or add a row",
        ),
        ([("one", 1), ("one", 2)], {}, "partition one: is given twice.*; leave one out"),
        ([("two", 1)], {"without": ("two",)}, "partition two: is not in .*partitions.csv, which has one"),
        ([], {"expanded_size": 1 << 20}, "disk"),
    ],
)
def test_what_does_not_fit_is_named(check, sizes, arguments, message):
    with pytest.raises(UserError, match=message):
        check(*sizes, **arguments)
    assert not check.output.exists()
