"""Images and reports for tests."""

from __future__ import annotations

import io
import tarfile
from uuid import UUID

from testnet.local.report import (
    COMMITTED,
    CONFIRMED,
    DOWNLOADED,
    FAILED,
    HALTED,
    INSTALLED,
    LOST,
    STARTED,
    UPGRADED,
    Record,
    Report,
    Run,
    Step,
)
from tools.gpt.table import Table
from tools.gpt.table import encode as encode_table
from tools.image.extents import Image
from tools.upgrade import manifest

_BOOT, _ROOT = bytes(1 << 20), bytes(range(256)) * (1 << 12)


def update_image(version: str) -> bytes:
    """Returns an update image, not compressed and not signed."""
    boot = manifest.describe_image("boot.img", Image.from_bytes(_BOOT))
    root = manifest.describe_image("root.img", Image.from_bytes(_ROOT), root_hash="0" * 64)
    described = manifest.Manifest(
        product="guestos", variant="dev", architecture="x86_64", version=version, images=(boot, root)
    )
    text = manifest.encode(described)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in {"manifest.json": text, "boot.img": _BOOT, "root.img": _ROOT}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def disk() -> bytes:
    """Returns a disk without partitions, of 1 MiB."""
    table = Table(disk_guid=UUID(int=1), disk_size=1 << 20, entries=())
    return encode_table(table).read(0, 1 << 20)


def record(name: str, result: str, *steps: tuple[str, float], problem: str | None = None) -> Record:
    """Returns what became of a node."""
    return Record(name=name, subnet="subnet 1", result=result, problem=problem, steps=[Step(*each) for each in steps])


def report(*nodes: Record, result: str = HALTED) -> Report:
    """Returns a report with one run."""
    run = Run(began="2026-01-01T00:00:00Z", version="2", sha256="0" * 64, size=10, tolerate=0, result=result)
    run.nodes = list(nodes)
    return Report(deployment="net", runs=[run])


STEPS = [(STARTED, 0), (DOWNLOADED, 20), (INSTALLED, 40), (COMMITTED, 50), (CONFIRMED, 100)]
REPORT = report(
    record("a", UPGRADED, *STEPS),
    record("b", FAILED, (STARTED, 100), (LOST, 150), (FAILED, 200), problem="<broken> & gone"),
    record("c", "not tried"),
)
