import pytest

from guestos_tools.description import image_constants, read_constants
from tools.core.errors import UserError


def test_constants_are_read(tmp_path):
    path = tmp_path / "a.bzl"
    path.write_text('"""Doc."""\n\n# comment\nA = ["x", 1, -1, None, True]\nB = {"a": ("b",)}\n')
    assert read_constants(path) == {"A": ["x", 1, -1, None, True], "B": {"a": ("b",)}}


@pytest.mark.parametrize(
    "line", ["B = A", "B = [x for x in A]", "B = f()", 'load("a", "b")', "A += [1]", "A = B = 1", "1"]
)
def test_what_is_no_constant_is_refused(tmp_path, line):
    path = tmp_path / "a.bzl"
    path.write_text(f"A = []\n{line}\n")
    with pytest.raises(UserError, match=r"a\.bzl:2: is not NAME = LITERAL"):
        read_constants(path)


def test_what_is_no_starlark_is_refused(tmp_path):
    path = tmp_path / "a.bzl"
    path.write_text("A = [\n")
    with pytest.raises(UserError, match=r"a\.bzl:1: '\[' was never closed"):
        read_constants(path)


def test_the_image_has_what_it_needs():
    constants = image_constants()
    assert set(constants["REQUIRED_BINARIES"]) <= set(constants["RELEASE_BINARIES"])
