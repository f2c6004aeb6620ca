"""The rules and the tools know the same processors of machines."""

import ast
import re

from dev.lint.listing import listed_files
from tools.vm.architecture import ARCHITECTURES

RULES = "defs/private/machine_platform.bzl"


def test_rules_and_tools_have_the_same():
    (names,) = re.findall(r"^_ARCHITECTURES = (\[.*\])$", listed_files()[RULES].read_text(), re.MULTILINE)
    assert ast.literal_eval(names) == sorted(ARCHITECTURES)
