"""A module that uses the rules for a small disk, whose build waits at a gate for the test."""

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
    cmd = "echo $$PWD >{folder}/reached; while [ ! -e {folder}/open ]; do sleep 0.1; done; echo open >$@",
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
# What this repository's own settings are, as far as they suit a module elsewhere.
_BAZELRC = f"""
import {RULES}/.bazelrc
# The sandbox has a /tmp of its own, and the rules may stand below the real one.
build --sandbox_add_mount_pair={RULES}
"""

DATA_BYTES = 6 << 20
"""Size of the one large file, which no compression makes smaller."""

DISK = "disk.tar.zst"


@dataclass(frozen=True)
class SmallImage:
    """The module's folder."""

    folder: Path

    @property
    def reached(self) -> Path:
        """A file that is there when the build waits at the gate; it has the folder that the action runs in."""
        return self.folder / "reached"

    def open_gate(self) -> None:
        """Lets builds through."""
        (self.folder / "open").touch()

    def close_gate(self) -> None:
        """Has the next build wait."""
        (self.folder / "open").unlink(missing_ok=True)
        self.reached.unlink(missing_ok=True)


def write_small_image(folder: Path) -> SmallImage:
    """Writes the module; its gate is open."""
    folder.mkdir(parents=True)
    (folder / "MODULE.bazel").write_text(MODULE)
    (folder / "BUILD.bazel").write_text(_BUILD.format(folder=folder))
    (folder / ".bazelrc").write_text(_BAZELRC)
    (folder / "layout.csv").write_text(_LAYOUT)
    (folder / "data.bin").write_bytes(random.Random(1).randbytes(DATA_BYTES))
    made = SmallImage(folder)
    made.open_gate()
    return made
