"""A module with a small disk, whose build waits for the test at a gate, an action that polls a file."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from tests.downstream import MODULE, RULES

# One partition is built before the gate, the other one and the disk behind it.
_BUILD = """
load("@rules_icos//defs:defs.bzl", "disk_image", "ext4_image")

genrule(
    name = "gate",
    srcs = [":before"],
    outs = ["gate.txt"],
    cmd = "echo $$PWD >{folder}/new; mv {folder}/new {folder}/reached; " +
          "while [ ! -e {folder}/open ]; do sleep 0.1; done; echo open >$@",
    tags = ["no-cache", "no-sandbox"],
)

ext4_image(
    name = "before",
    extra_files = {{"data.bin": "data"}},
    partition_size = "16M",
    uuid = "c8b0a1f2-0000-4000-8000-000000000001",
)

ext4_image(
    name = "after",
    extra_files = {{"data.bin": "data", "gate.txt": "gate"}},
    partition_size = "16M",
    uuid = "c8b0a1f2-0000-4000-8000-000000000002",
)

disk_image(
    name = "disk",
    disk_guid = "c8b0a1f2-0000-4000-8000-000000000003",
    layout = "layout.csv",
    partitions = {{":before": "before", ":after": "after"}},
)
"""
_LAYOUT = """\
name,start,size,type,uuid,comment
before,2048,32768,L,c8b0a1f2-0000-4000-8000-000000000004,built before the gate
after,34816,32768,L,c8b0a1f2-0000-4000-8000-000000000005,built behind it
"""
# This repository's options that are suitable for another module.
_BAZELRC = f"""
import {RULES}/.bazelrc
# The sandbox has its own /tmp, and the rules may be in the real one.
build --sandbox_add_mount_pair={RULES}
"""

DATA_BYTES = 6 << 20
"""Size of the large file in bytes; its content is incompressible."""

DISK = "disk.tar.zst"


@dataclass(frozen=True)
class SmallImage:
    """A module in a directory."""

    folder: Path

    @property
    def reached(self) -> Path:
        """A file that exists when the build waits at the gate; it contains the working directory of the action."""
        return self.folder / "reached"

    def open_gate(self) -> None:
        """Opens the gate for builds."""
        (self.folder / "open").touch()

    def close_gate(self) -> None:
        """Closes the gate for the next build."""
        (self.folder / "open").unlink(missing_ok=True)
        self.reached.unlink(missing_ok=True)


def write_small_image(folder: Path) -> SmallImage:
    """Writes the module, with an open gate."""
    folder.mkdir(parents=True)
    (folder / "MODULE.bazel").write_text(MODULE)
    (folder / "BUILD.bazel").write_text(_BUILD.format(folder=folder))
    (folder / ".bazelrc").write_text(_BAZELRC)
    (folder / "layout.csv").write_text(_LAYOUT)
    (folder / "data.bin").write_bytes(random.Random(1).randbytes(DATA_BYTES))
    made = SmallImage(folder)
    made.open_gate()
    return made
