"""Every module of the checkout names the version of Bazel that it is tested with, and it is the same one."""

from dev.lint.listing import listed_files


def test_bazel_version():
    found = listed_files()
    folders = [path.removesuffix("MODULE.bazel") for path in found if path.rpartition("/")[2] == "MODULE.bazel"]
    assert {"", "examples/data-disk/", "tests/e2e/consumer/"} <= set(folders)
    expected = found[".bazelversion"].read_text()
    assert {folder: found[f"{folder}.bazelversion"].read_text() for folder in folders} == dict.fromkeys(
        folders, expected
    )
