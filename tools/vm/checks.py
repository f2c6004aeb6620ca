"""Checks of a running machine; results are printed immediately."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from tools.core.errors import CheckError, UserError
from tools.core.text import escaped
from tools.vm.shell import Shell


class Checks:
    """Collects the results of checks, and prints each one immediately.

    Attributes:
        failed: names of the failed checks.
    """

    def __init__(self, on_failure: Callable[[], None] = lambda: None) -> None:
        """Starts without results; `on_failure` is called when the first check has failed."""
        self.failed: list[str] = []
        self._on_failure = on_failure

    def equal(self, what: str, actual: object, expected: object) -> None:
        """Checks that two values are equal."""
        self.true(what, actual == expected, f"it is {actual!r}, not {expected!r}")

    def true(self, what: str, value: bool, otherwise: str) -> None:
        """Checks a condition; `otherwise` is the message if it is false."""
        print(escaped(f"ok: {what}" if value else f"FAILED: {what}: {otherwise}"), flush=True)
        if not value:
            self.failed.append(what)
            if len(self.failed) == 1:
                self._on_failure()

    def raise_failed(self, subject: str) -> None:
        """Ends the checks; `subject` is named in the message.

        Raises:
            CheckError: a check failed.
        """
        if self.failed:
            raise CheckError(f"{subject}: {len(self.failed)} checks failed: {'; '.join(self.failed)}")


def check_root(shell: Shell, root_hash: str, checks: Checks) -> None:
    """Checks that the root file system is read-only, and on dm-verity with the given root hash (hexadecimal).

    The machine needs findmnt (util-linux) and dmsetup.
    """
    mounted = json.loads(shell.check("findmnt --json --output SOURCE,OPTIONS /"))["filesystems"][0]
    checks.equal("root is on", mounted["source"], "/dev/mapper/root")
    checks.true("root is read-only", "ro" in mounted["options"].split(","), mounted["options"])
    checks.true("root refuses writes", shell.run("touch /etc/written").status != 0, "a file could be created")
    # The root hash is the ninth parameter of the table (Linux Documentation/admin-guide/device-mapper/verity.rst).
    table = shell.check("dmsetup table root").split()
    checks.equal("root is opened by dm-verity with the root hash", (table[2], table[11]), ("verity", root_hash))
    checks.equal("no damage was found", shell.check("dmsetup status root").split()[-1], "V")


def default_log() -> str:
    """Returns the path of a log in the undeclared outputs of a Bazel test.

    Raises:
        UserError: this process is not a Bazel test.
    """
    path = undeclared_output("console.log")
    if path is None:
        raise UserError("outside of `bazel test`, --log is required: the file for the console's output")
    return path


def undeclared_output(name: str) -> str | None:
    """Returns the path of a file in the undeclared outputs of a Bazel test; None if this process is none.

    See https://bazel.build/reference/test-encyclopedia#test-interaction-filesystem.
    """
    folder = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    return None if folder is None else str(Path(folder, name))
