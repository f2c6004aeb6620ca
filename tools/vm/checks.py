"""Checks of a machine that runs, printed as they come and counted."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tools.core.errors import CheckError, UserError
from tools.vm.shell import Shell


class Checks:
    """Results of checks, printed as they come."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def equal(self, what: str, actual: object, expected: object) -> None:
        """Checks that two values are equal."""
        self.true(what, actual == expected, f"it is {actual!r}, not {expected!r}")

    def true(self, what: str, value: bool, otherwise: str) -> None:
        """Checks that something holds; `otherwise` says what is the case if not."""
        print(f"ok: {what}" if value else f"FAILED: {what}: {otherwise}", flush=True)
        if not value:
            self.failed.append(what)

    def raise_failed(self, subject: str) -> None:
        """Ends the checks of a subject.

        Raises:
            CheckError: some failed.
        """
        if self.failed:
            raise CheckError(f"{subject}: {len(self.failed)} checks failed: {'; '.join(self.failed)}")


def check_root(shell: Shell, root_hash: str, checks: Checks) -> None:
    """Checks that the root is read-only, and that dm-verity with the right root hash stands below it.

    The machine needs findmnt (util-linux) and dmsetup.
    """
    mounted = json.loads(shell.check("findmnt --json --output SOURCE,FSTYPE,OPTIONS /"))["filesystems"][0]
    checks.equal("root is on", (mounted["source"], mounted["fstype"]), ("/dev/mapper/root", "ext4"))
    checks.true("root is read-only", "ro" in mounted["options"].split(","), mounted["options"])
    checks.true("root refuses writes", shell.run("touch /etc/written").status != 0, "a file could be made")
    # verity's table: Documentation/admin-guide/device-mapper/verity.rst of Linux, the ninth field is the root hash.
    table = shell.check("dmsetup table root").split()
    checks.equal("root is opened by dm-verity with the root hash", (table[2], table[11]), ("verity", root_hash))
    checks.equal("no damage was found", shell.check("dmsetup status root").split()[-1], "V")


def default_log() -> str:
    """Returns a file that Bazel keeps: https://bazel.build/reference/test-encyclopedia#test-interaction-filesystem.

    Raises:
        UserError: this is no test of Bazel's.
    """
    folder = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    if folder is None:
        raise UserError("say by --log where what the console shows is to go")
    return str(Path(folder, "console.log"))
