import pytest

from tools.core.errors import UserError
from tools.vm.architecture import AARCH64, X86_64, find_architecture


def test_names_are_those_of_uname():
    assert find_architecture("x86_64") is X86_64
    assert find_architecture("aarch64") is AARCH64


@pytest.mark.parametrize("name", ["arm64", "amd64", ""])
def test_another_name_is_refused(name):
    with pytest.raises(UserError, match=f"^--architecture: {name}: is not one .*; give aarch64 or x86_64$"):
        find_architecture(name)
