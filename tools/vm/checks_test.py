import pytest

from tools.core.errors import CheckError
from tools.vm.checks import Checks


def test_what_a_machine_says_is_no_command_for_the_terminal(capsys):
    checks = Checks()
    checks.true("the unit runs", value=False, otherwise="it says \x1b[2J\nok: all")
    assert capsys.readouterr().out == "FAILED: the unit runs: it says \\x1b[2J\\nok: all\n"
    with pytest.raises(CheckError):
        checks.raise_failed("machine")
