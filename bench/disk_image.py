"""Compares the way from a root tar to a disk image with that of stock tools.

Both make, of the same tar: an ext4 file system, its dm-verity tree, a disk with a partition table, and the disk as
.tar.zst and .tar.gz. The stock tools are mke2fs -d, veritysetup, sfdisk, dd, tar -S, zstd and pigz. Runs alternate; of
each step the best counts.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Measure, Step, best, measure_all, report
from tools.cli import argument, run
from tools.spec import Size

_MIB = 1 << 20
_UUID = "6b0ef1a1-4a05-4b0e-9a0c-2f6a0d3c1f5e"
_GUID = "2B110BB7-CDEC-7D41-B97E-893EDCBE5428"
_SALT = "00" * 32
_START = 2048
_SECTOR = 512
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    root_tar: str = argument("the tar with the root tree")
    image_size: Size = argument("size of the file system", default=3 << 30)
    disk_size: Size = argument("size of the disk", default=10 << 30)
    runs: int = argument("how many times each way is gone", default=3)
    mke2fs: str = argument("the command for mke2fs 1.47.1 or newer, which reads tars", default="mke2fs")
    work: str | None = argument("folder to work in, with room for the disk's data several times", default=None)


def stock(arguments: Arguments, folder: Path) -> list[Step]:
    """Returns the steps of the stock tools."""
    size = arguments.image_size
    sectors = (size + (256 * _MIB)) // _SECTOR
    (folder / "table").write_text(f"label: gpt\nstart={_START}, size={sectors}, type=L\n")
    offset = _START * _SECTOR
    verity = ["veritysetup", "format", f"--salt={_SALT}", f"--uuid={_UUID}", f"--hash-offset={size}"]
    return [
        Step("mke2fs -d", [*shlex.split(arguments.mke2fs), *_mke2fs_options(arguments), "root.img", str(size // 1024)]),
        Step("veritysetup format", [*verity, f"--data-blocks={size // 4096}", "root.img", "root.img"]),
        Step("truncate", ["truncate", f"--size={arguments.disk_size}", "disk.img"]),
        Step("sfdisk", ["sfdisk", "--quiet", "disk.img"], stdin="table"),
        Step(
            "dd",
            ["dd", "if=root.img", "of=disk.img", "bs=1M", f"seek={offset}", "oflag=seek_bytes", "conv=notrunc,sparse"],
        ),
        Step("tar -S", ["tar", "-S", "-cf", "disk.tar", "disk.img"]),
        Step("zstd -T0 -3", ["zstd", "-q", "-T0", "-3", "disk.tar", "-o", "disk.tar.zst"]),
        Step("pigz -6", ["pigz", "-6", "-k", "disk.tar"]),
    ]


def _mke2fs_options(arguments: Arguments) -> list[str]:
    extended = f"hash_seed={_UUID},root_owner=0:0"
    return ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-U", _UUID, "-E", extended, "-d", arguments.root_tar]


def ours(arguments: Arguments, folder: Path) -> list[Step]:
    """Returns the steps of this project's tools, which are the actions of a build."""
    sectors = (arguments.image_size + (256 * _MIB)) // _SECTOR
    (folder / "partitions.csv").write_text(f"name,start,size,type,uuid,comment\nroot,{_START},{sectors},L,,\n")
    parts = ", ".join(
        f'{{"image": "{name}.img.tar", "offset": {offset}, "zst": "{name}.zst", "gz": "{name}.gz"}}'
        for name, offset in (("root", 0), ("hash", arguments.image_size))
    )
    partitions = f'[{{"name": "root", "parts": [{parts}]}}]'
    ext4 = [f"--layer={arguments.root_tar}", f"--size={arguments.image_size}", f"--uuid={_UUID}"]
    verity = ["--input=root.img.tar", "--output=hash.img.tar", "--root_hash_file=hash", f"--uuid={_UUID}"]
    disk = ["--layout=partitions.csv", f"--disk_guid={_GUID}", f"--expanded_size={arguments.disk_size}"]
    outputs = ["--output_zst=disk.tar.zst", "--output_gz=disk.tar.gz"]
    return [
        _tool("build_ext4_image", *ext4, "--nojournal", "--output=root.img.tar"),
        _tool("verity_sign", *verity, f"--salt={_SALT}"),
        *(
            _tool("compress", "--data", f"--input={name}.img.tar", f"--output={name}.{suffix}", label=suffix)
            for suffix in ("zst", "gz")
            for name in ("root", "hash")
        ),
        _tool("build_disk_image", *disk, f"--partitions={partitions}", *outputs),
    ]


def _tool(name: str, *flags: str, label: str = "") -> Step:
    return Step(
        f"{name} {label}".strip(), ["env", f"PYTHONPATH={_ROOT}", sys.executable, "-m", f"tools.{name}", *flags]
    )


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        ways: dict[str, tuple[Path, list[Step], list[list[Measure]]]] = {}
        for name, make in (("stock tools", stock), ("this project", ours)):
            folder = Path(work, name.replace(" ", "-"))
            folder.mkdir()
            ways[name] = (folder, make(arguments, folder), [])
        for _ in range(arguments.runs):
            for folder, steps, runs in ways.values():
                for old in ("root.img", "disk.img", "disk.tar", "disk.tar.zst", "disk.tar.gz"):
                    (folder / old).unlink(missing_ok=True)
                runs.append(measure_all(steps, folder))
        theirs, own = (report(name, steps, best(runs)) for name, (_, steps, runs) in ways.items())
        print(f"wall time: {own.wall / theirs.wall:.2f} of theirs; processor time: {own.cpu / theirs.cpu:.2f}")
        for name in ("disk.tar.zst", "disk.tar.gz"):
            before, after = ((folder / name).stat().st_size for folder, _, _ in ways.values())
            print(f"{name}: {after / _MIB:.1f} MiB, theirs {before / _MIB:.1f} MiB: {after / before:.3f}")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
