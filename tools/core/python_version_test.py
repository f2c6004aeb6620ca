"""Tools say which Python they need."""

import os
import subprocess
import sys


def imported(version: str) -> "subprocess.CompletedProcess[str]":
    """Imports the tools in a Python that reports a version.

    Args:
        version: of Python, as a tuple.
    """
    code = f"import sys; sys.version_info = {version}; import tools.core.text"
    # Newer versions of rules_python don't set PYTHONPATH.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_older_version():
    done = imported("(3, 10, 12)")
    assert done.returncode == 1
    assert "Python 3.10 is too old for these tools, which need 3.11 or newer; in MODULE.bazel: python.toolchain(" in (
        done.stderr
    )
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_oldest_version_that_works():
    assert imported("(3, 11, 0)").returncode == 0
