"""Compares the creation of a disk image from a root tar with standard tools.

Both create from the same tar: an ext4 file system, its dm-verity tree, a disk with a partition table, and the disk as
.tar.zst and .tar.gz. The standard tools are mke2fs -d, veritysetup, sfdisk, dd, tar -S, zstd and pigz.

Runs alternate; the best run of each step counts. Before a run, both remove the files of the last one, as Bazel does:
ext4 writes a file to the disk at once if it is renamed to a file that is there.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Step, compare, compare_sizes, tool_command, two_folders
from tools.core.cli import argument, run
from tools.core.json_spec import Size

_MIB = 1 << 20
_UUID = "6b0ef1a1-4a05-4b0e-9a0c-2f6a0d3c1f5e"
_GUID = "2B110BB7-CDEC-7D41-B97E-893EDCBE5428"
_SALT = "00" * 32
_START = 2048
_SECTOR = 512
_OUTPUTS = (
    *(f"{name}.{suffix}" for name in ("root", "hash") for suffix in ("recipe", "json", "zst", "gz")),
    *("hash", "disk.tar.zst", "disk.tar.gz"),
)
"""What the commands of this project write."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    root_tar: str = argument("the tar with the root tree")
    image_size: Size = argument("size of the file system", default=3 << 30)
    disk_size: Size = argument("size of the disk", default=10 << 30)
    runs: int = argument("number of runs of each variant", default=3)
    mke2fs: str = argument("the command for mke2fs 1.47.1 or newer, which reads tars", default="mke2fs")
    work: str | None = argument("working directory, with space for several copies of the disk's data", default=None)


def stock_file_system(arguments: Arguments) -> list[Step]:
    """Returns the steps of the standard tools up to a tar of the file system."""
    extended = f"hash_seed={_UUID},root_owner=0:0"
    options = ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-U", _UUID, "-E", extended, "-d", arguments.root_tar]
    mke2fs = [*shlex.split(arguments.mke2fs), *options, "root.img", str(arguments.image_size // 1024)]
    return [
        Step("rm", ["rm", "-f", "root.img", "root.img.tar"]),
        Step("mke2fs -d", mke2fs),
        Step("tar -S", ["tar", "-S", "-cf", "root.img.tar", "root.img"]),
    ]


def stock(arguments: Arguments, folder: Path) -> list[Step]:
    """Returns the steps of the standard tools."""
    size = arguments.image_size
    sectors = (size + (256 * _MIB)) // _SECTOR
    (folder / "table").write_text(f"label: gpt\nstart={_START}, size={sectors}, type=L\n")
    verity = ["veritysetup", "format", f"--salt={_SALT}", f"--uuid={_UUID}", f"--hash-offset={size}"]
    place = ["bs=1M", f"seek={_START * _SECTOR}", "oflag=seek_bytes", "conv=notrunc,sparse"]
    return [
        Step("rm", ["rm", "-f", "disk.img", "disk.tar", "disk.tar.zst", "disk.tar.gz"]),
        *stock_file_system(arguments)[:-1],
        Step("veritysetup format", [*verity, f"--data-blocks={size // 4096}", "root.img", "root.img"]),
        Step("truncate", ["truncate", f"--size={arguments.disk_size}", "disk.img"]),
        Step("sfdisk", ["sfdisk", "--quiet", "disk.img"], stdin="table"),
        Step("dd", ["dd", "if=root.img", "of=disk.img", *place]),
        Step("tar -S", ["tar", "-S", "-cf", "disk.tar", "disk.img"]),
        Step("zstd -T0 -3", ["zstd", "-q", "-T0", "-3", "disk.tar", "-o", "disk.tar.zst"]),
        Step("pigz -6", ["pigz", "-6", "-k", "disk.tar"]),
    ]


def our_file_system(arguments: Arguments) -> list[Step]:
    """Returns the steps of this project's tools up to a tar of the file system."""
    flags = [f"--layer={arguments.root_tar}", f"--size={arguments.image_size}", f"--uuid={_UUID}", "--nojournal"]
    return [
        Step("rm", ["rm", "-f", "root.img.tar"]),
        Step("ext4_image", tool_command("ext4_image", *flags, "--output=root.img.tar")),
    ]


def ours(arguments: Arguments, folder: Path) -> list[Step]:
    """Returns the steps of this project's tools: the commands of a build's actions, which are no workers here."""
    sectors = (arguments.image_size + (256 * _MIB)) // _SECTOR
    (folder / "partitions.csv").write_text(f"name,start,size,type,uuid,comment\nroot,{_START},{sectors},L,,\n")
    tar = [arguments.root_tar]
    root = {"layer": tar, "size": arguments.image_size, "journal": False, "source": tar, "digests": "root.json"}
    tree = {"input": "root.recipe", "source": tar, "digests": "root.json", "hash_digests": "hash.json", "salt": _SALT}
    data = {
        name: {"data": True, "input": f"{name}.recipe", "source": sources, "digests": f"{name}.json"}
        for name, sources in (("root", tar), ("hash", []))
    }
    parts = [
        {"image": f"{name}.recipe", "sources": sources, "offset": offset, "zst": f"{name}.zst", "gz": f"{name}.gz"}
        for name, sources, offset in (("root", tar, 0), ("hash", [], arguments.image_size))
    ]
    disk = {"layout": "partitions.csv", "disk_guid": _GUID, "expanded_size": arguments.disk_size}
    disk |= {"output_zst": "disk.tar.zst", "output_gz": "disk.tar.gz", "partitions": [{"name": "root", "parts": parts}]}
    return [
        Step("rm", ["rm", "-f", *_OUTPUTS]),
        _action(folder, "ext4_image", root | {"uuid": _UUID, "recipe": True, "output": "root.recipe"}),
        _action(
            folder,
            "verity_image",
            tree | {"uuid": _UUID, "recipe": True, "output": "hash.recipe", "root_hash_file": "hash"},
        ),
        *(
            _action(folder, "compress", data[name] | {"output": f"{name}.{codec}"}, f"{name}.{codec}")
            for codec in ("zst", "gz")
            for name in data
        ),
        _action(folder, "disk_image", disk),
    ]


def _action(folder: Path, name: str, spec: Mapping[str, object], label: str = "") -> Step:
    """Returns the step of a command that gets its arguments as from an action: as an object in a params file."""
    params = folder / f"{name}{label}.params"
    params.write_text(json.dumps(spec, indent=1))
    return Step(f"{name} {label}".strip(), tool_command(name, f"@{params}"))


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    with two_folders(arguments.work) as folders:
        print("root tar to ext4 in a sparse tar")
        compare(stock_file_system(arguments), our_file_system(arguments), arguments.runs, folders)
        size = Path(arguments.root_tar).stat().st_size
        print(f"\nroot tar of {size / 1e6:.0f} MB to disk.tar.zst and disk.tar.gz")
        compare(stock(arguments, folders[0]), ours(arguments, folders[1]), arguments.runs, folders)
        compare_sizes(["disk.tar.zst", "disk.tar.gz"], folders)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
