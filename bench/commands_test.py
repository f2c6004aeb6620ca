"""Tests that the benchmarks' command lines of this project's commands work; doesn't measure anything."""

import json
import os
import subprocess
import sys
import tarfile
import time

from bench import (
    base_root,
    changed_blocks,
    changed_file,
    disk_image,
    erofs_image,
    growth,
    large_file_system,
    mkosi,
    squashfs_image,
    start_up,
)
from bench.execution_log import written
from bench.measure import Measure, measure
from bench.scratch_build import SERVER, Build, commands_of, peak_of, processes, whole
from tools.core.cli import call
from tools.debian.deb import Deb
from tools.debian.repository import make_repository
from tools.testing.debian_packages import build_deb

MIB = 1 << 20


def test_disk_image(tmp_path):
    (tmp_path / "file").write_text("content")
    with tarfile.open(tmp_path / "root.tar", "w") as root:
        root.add(tmp_path / "file", "file")
    sizes = {"image_size": 8 * MIB, "disk_size": 300 * MIB}
    remove, *steps = disk_image.ours(disk_image.Arguments(root_tar="root.tar", **sizes), tmp_path)
    given = {*os.listdir(tmp_path), "log"}
    for step in steps:
        measure(step, tmp_path)
    assert (tmp_path / "disk.tar.zst").stat().st_size
    assert (tmp_path / "disk.tar.gz").stat().st_size
    measure(remove, tmp_path)
    assert {*os.listdir(tmp_path)} == given


def test_packages_of_the_base_root(tmp_path):
    debs = [build_deb(tmp_path, "hostname"), build_deb(tmp_path, "other")]
    debs = [path.rename(path.with_name(f"{path.stem}_1_all.deb")) for path in debs]
    (tmp_path / "pool").mkdir()
    (tmp_path / "work").mkdir()
    provided = base_root.dummy(tmp_path / "work")
    assert make_repository([*debs, provided], tmp_path / "pool") == ["hostname", "other", "image-provided"]
    index = (tmp_path / "pool/Packages").read_text()
    assert "Provides: linux-initramfs-tool\n" in index
    assert f"Size: {debs[1].stat().st_size}\n" in index
    new, same = base_root.changed(debs, tmp_path / "work")
    assert same == debs[1]
    with Deb(new) as deb, deb.data() as archive:
        assert "./usr/share/changed" in archive.getnames()


def test_base_root_without_mmdebstrap(capfd):
    assert call(base_root.main, base_root.Arguments, None, ["base_root", "--mmdebstrap=no-such-program"]) == 2
    said = (
        "error: no-such-program: is not installed; install the package mmdebstrap, or run this in the build container"
    )
    assert capfd.readouterr().err.startswith(said)


def test_erofs_image(tmp_path):
    (tmp_path / "file").write_text("content")
    with tarfile.open(tmp_path / "root.tar", "w") as root:
        root.add(tmp_path / "file", "file")
    for step in erofs_image.ours(erofs_image.Arguments(root_tar="root.tar")):
        measure(step, tmp_path)
    assert (tmp_path / "root.img.tar").stat().st_size


def test_squashfs_image(tmp_path):
    (tmp_path / "file").write_text("content")
    with tarfile.open(tmp_path / "root.tar", "w") as root:
        root.add(tmp_path / "file", "file")
    for step in squashfs_image.ours(squashfs_image.Arguments(root_tar="root.tar", level=3)):
        measure(step, tmp_path)
    assert (tmp_path / "root.img.tar").stat().st_size


def test_large_file_system(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("content")
    for step in large_file_system.ours(large_file_system.Arguments()):
        measure(step, tmp_path)
    assert (tmp_path / "large.img.tar").stat().st_size


def test_changed_blocks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(changed_blocks, "_BINARY_SIZE", MIB)
    (tmp_path / "file").write_text("content")
    with tarfile.open(tmp_path / "root.tar", "w") as root:
        root.add(tmp_path / "file", "etc/file")
    changed_blocks.main(changed_blocks.Arguments(root_tar=f"{tmp_path}/root.tar", image_size=300 * MIB, files=3))
    lines = capsys.readouterr().out.splitlines()
    assert "/etc/file of the base is replaced" in lines[5]
    assert all(int(line.split()[-1]) < 50 for line in lines[2:])


def test_start_up(capsys):
    start_up.main(start_up.Arguments(runs=1))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]] == list(start_up.COMMANDS)


def test_growth(capsys):
    growth.main(growth.Arguments(files=(1, 1001), data=(MIB,), holes=(100 * MIB,), mke2fs=""))
    assert [line.split(" | ")[:2] for line in capsys.readouterr().out.splitlines()[2:]] == [
        ["| files", "1"],
        ["| files", "1001"],
        ["| data", "1 MiB"],
        ["| holes", "0.0976562 GiB"],
    ]


def test_changed_file(tmp_path, capsys):
    events = [
        {"cat": "action processing", "dur": 2_000_000, "args": {"mnemonic": "Ext4Image"}},
        {"cat": "action processing", "dur": 1_000_000, "args": {"mnemonic": "Ext4Image"}},
        {"cat": "general information", "dur": 7},
        {"ph": "M"},
    ]
    (tmp_path / "profile.json").write_text(json.dumps({"traceEvents": events}))
    actions = changed_file.actions_of(tmp_path / "profile.json")
    assert actions == {"Ext4Image": 3_000_000}
    change = changed_file.Change(Build(8, {SERVER: 4, "compress": 2}), actions, [Measure(1, 1, 0), Measure(2, 1, 0)])
    changed_file.report([change, change], Build(0.5, {SERVER: 0.25}))
    assert capsys.readouterr().out.splitlines()[1:5] == [
        "one changed file, 12 outputs         8.00     6.00",
        "  Bazel's server                              4.00",
        "  compress                                    2.00",
        "  Ext4Image                          3.00",
    ]


def test_bytes_of_a_changed_file(tmp_path, capsys):
    def spawn(mnemonic, name, size, **more):
        path = f"bazel-out/k8-fastbuild/bin/ic-os/guestos/{name}"
        return {"mnemonic": mnemonic, "actualOutputs": [{"path": path, "digest": {"sizeBytes": str(size)}}], **more}

    spawns = [
        spawn("DiskImage", "dev/disk-img.tar", 4_000_000),
        spawn("Ext4Image", "dev/root.img.tar", 1_000_000),
        spawn("Ext4Image", "dev/boot.img.tar", 500_000),
        spawn("Initramfs", "dev/initramfs", 7_000_000, cacheHit=True),
        {"mnemonic": "Empty", "actualOutputs": [{"path": "bazel-out/k8-fastbuild/bin/empty"}]},
    ]
    (tmp_path / "spawns.json").write_text("\n".join(json.dumps(each, indent=2) for each in spawns) + "\n")
    changed_file.report_written(written(tmp_path / "spawns.json"))
    assert capsys.readouterr().out.splitlines()[1:] == [
        "the 12 outputs                       4.00",
        "other files                          1.50, 37.5% of these",
        "  Ext4Image                          1.50",
        "  Empty                              0.00",
    ]


def test_mkosi_gets_the_packages_of_the_lock(tmp_path):
    lock = {
        "archives": {"main": {"urls": ["https://one", "https://two"], "released": {"x-updates": "", "x": ""}}},
        "sets": {"guestos-dev": {"packages": {"amd64": ["a_amd64", "b_all"]}}},
        "packages": {"a_amd64": {"name": "a"}, "b_all": {"name": "b"}, "c_all": {"name": "c"}},
    }
    stand_in = tmp_path / "mkosi"
    stand_in.write_text(
        "#!/bin/sh\ncat mkosi.conf mkosi.sandbox/etc/apt/sources.list.d/* ../extra/etc/changed.conf >../out/all\n"
    )
    stand_in.chmod(0o755)
    source = mkosi.write_source(tmp_path / "work", lock)
    mkosi.second_build(str(stand_in), source, 3)
    said = (tmp_path / "work/out/all").read_text()
    assert "Release=x\n" in said
    assert "Packages=a\n    b\nTypes: deb\nURIs: https://one\nSuites: x-updates x\n" in said
    assert said.endswith("# 3\n")


def test_without_mkosi(capfd):
    argv = ["mkosi", "--mkosi=no-such-mkosi"]
    assert call(mkosi.main, mkosi.Arguments, None, argv) == 2
    said = "no-such-mkosi: is not installed; install the package mkosi, or name the program by --mkosi"
    assert capfd.readouterr().err == f"error: {said}\n"


def test_processor_time_of_what_a_process_started():
    loop = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; read line"
    with subprocess.Popen(["sh", "-c", f"sh -c '{loop}'; :"], stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while (used := whole(process.pid, dict(processes()))) < 0.02 and time.monotonic() < deadline:
            pass
    assert used >= 0.02


def test_peak_memory_of_a_command(capsys):
    hold = "import sys; data = b'1' * (64 << 20); del data; print('done', flush=True); sys.stdin.read()"
    # The command is a child of this process, as a worker is one of Bazel's server, and has a child itself.
    command = ["sh", "-c", f'"$1" -c "{hold}"; :', "bin/tools/commands/some_image", sys.executable]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        running = dict(processes())
        assert ("some_image", process.pid) in commands_of(os.getpid(), running)
        peak = peak_of(process.pid, running)
    assert 64 * MIB <= peak < 128 * MIB
    changed_file.report_memory({"some_image": 80 * MIB})
    assert capsys.readouterr().out.splitlines()[1:] == ["  some_image                           80"]
