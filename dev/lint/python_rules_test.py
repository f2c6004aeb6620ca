"""Programs and tests in Python are declared by the macros of tools/python.bzl."""

import re

from dev.lint.listing import listed_files

MACROS = "tools/python.bzl"
LOADS = re.compile(r'"@rules_python//python:(?:py_binary|py_test|defs)\.bzl"|\bnative\.py_')


def build_files() -> dict[str, str]:
    """Returns the text of BUILD and .bzl files by path, without those of other modules."""
    return {
        path: file.read_text()
        for path, file in listed_files().items()
        if path.endswith((".bazel", ".bzl")) and not path.startswith(("examples/", "tests/e2e/consumer/"))
    }


def test_all_are_declared_by_the_macros():
    files = build_files()
    assert {"tools/commands/command.bzl", "bench/BUILD.bazel"} <= files.keys()
    assert [path for path, text in files.items() if LOADS.search(text)] == [MACROS]


def tools_of_actions(files: dict[str, str]) -> dict[str, str]:
    """Returns the programs that rules run in actions, by label; each with the package's BUILD file."""
    found = {}
    for path, text in files.items():
        package = path.rpartition("/")[0]
        for attribute in re.findall(r"attr\.label\(([^()]*)\)", text):
            default = re.search(r'default = "(?://([^:"]*))?:([^"]+)"', attribute)
            if default and 'cfg = "exec"' in attribute and "executable = True" in attribute:
                folder = package if default[1] is None else default[1]
                found[f"//{folder}:{default[2]}"] = files[f"{folder}/BUILD.bazel"]
    return found


def test_programs_of_actions_start_without_a_python_of_the_machine():
    tools = tools_of_actions(build_files())
    assert {"//ic-os/guestos/tools:list_update_keys", "//tools/commands:disk_image"} <= tools.keys()
    declared = {label: rf'\bpy_binary\(\s*name = "{label.rpartition(":")[2]}"' for label in tools}
    assert [label for label, text in tools.items() if re.search(declared[label], text)] == [], "these are no py_tool"
