"""Measures what a changed file costs: from one file below ic-os/guestos/rootfs to all outputs of the GuestOS `dev`.

Then the peak memory of the commands, the bytes that the actions write, the time for one output alone, and that until a
machine starts: by launch-local-vm, with a program that ends at once in place of QEMU, whose own start does not count.

Bazel builds a scratch copy of the checkout, by a server that is running already. In the same run, the six images are
copied by cp, and hashed on one processor: what any way of making them takes at least. The best run counts. Processor
time is that of Bazel's server, of the commands that it keeps running, and of the others; time by actions is from
Bazel's profile, and the same moment counts once for each action that runs then.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.execution_log import written
from bench.measure import Measure, Step, measure
from bench.scratch_build import Build, ScratchBuild, scratch_build
from bench.workspace import called_in, work_folder
from tools.core.cli import argument, run

IMAGES = tuple(f"{name}.tar{suffix}" for name in ("disk-img", "update-img") for suffix in ("", ".gz", ".zst"))
CHANGED = "ic-os/guestos/rootfs/etc/systemd/journald.conf.d/10-guestos.conf"
_PACKAGE = "ic-os/guestos/dev"
_ONE_OUTPUT = f"//{_PACKAGE}:disk-img.tar.zst"
_LAUNCHER = f"//{_PACKAGE}:launch-local-vm"
_HASH = """
import hashlib, sys
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        hashlib.file_digest(file, "sha256")
"""
_SERVERS_OWN = {"VFS md5": "server: hash a file", "VFS digest": "server: hash a file"}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    runs: int = argument("number of changes that are measured", default=5)
    flag: tuple[str, ...] = argument("one more flag for Bazel's builds, such as --flag=--jobs=2", default=())
    work: str | None = argument("working directory, whose outputs are used again if it has some", default=None)


@dataclass(frozen=True)
class Change:
    """What a changed file took.

    Attributes:
        build: the build.
        actions: microseconds by mnemonics of actions; see `actions_of`.
        floor: of the steps of `floor`.
    """

    build: Build
    actions: Counter[str]
    floor: Sequence[Measure]


def floor(outputs: Path) -> list[Step]:
    """Returns the steps that copy and hash the images."""
    copies = [f"copies/{name}" for name in IMAGES]
    return [
        Step("cp of six images", ["cp", "--reflink=never", *(str(outputs / name) for name in IMAGES), "copies/"]),
        Step("SHA-256 of the copies", [sys.executable, "-c", _HASH, *copies]),
    ]


def actions_of(profile: Path) -> Counter[str]:
    """Returns the microseconds by mnemonics of actions, and of what the server does for files, in a profile of Bazel.

    https://bazel.build/advanced/performance/json-trace-profile
    """
    found: Counter[str] = Counter()
    for event in json.loads(profile.read_bytes())["traceEvents"]:
        took: int = event.get("dur", 0)
        if event.get("cat") == "action processing":
            found[event["args"]["mnemonic"]] += took
        elif name := _SERVERS_OWN.get(event.get("cat", "")):
            found[name] += took
    return found


def edit(bazel: ScratchBuild, number: int) -> None:
    """Changes the file."""
    with (bazel.checkout / CHANGED).open("a") as file:
        file.write(f"# {number}\n")


def change(bazel: ScratchBuild, folder: Path, number: int) -> Change:
    """Changes the file, and builds."""
    edit(bazel, number)
    profile = folder / "profile.json"
    build = bazel.build(f"--profile={profile}", "--record_full_profiler_data", "--noslim_profile", *targets())
    outputs = bazel.bin() / _PACKAGE
    return Change(build, actions_of(profile), [measure(step, folder) for step in floor(outputs)])


def targets() -> list[str]:
    """Returns the twelve outputs."""
    return [f"//{_PACKAGE}:{name}{digest}" for name in IMAGES for digest in ("", ".sha256")]


def written_by_change(bazel: ScratchBuild, folder: Path, number: int) -> Counter[tuple[str, str]]:
    """Changes the file, builds, and returns the sizes of what actions wrote; see `written`."""
    edit(bazel, number)
    log = folder / "spawns.json"
    bazel.build(f"--execution_log_json_file={log}", *targets())
    return written(log)


def one_output(bazel: ScratchBuild, numbers: Sequence[int]) -> float:
    """Changes the file for each number, builds one output, and returns the least wall time."""
    taken = []
    for number in numbers:
        edit(bazel, number)
        taken.append(bazel.build(_ONE_OUTPUT).wall)
    return min(taken)


def start(bazel: ScratchBuild, folder: Path, numbers: Sequence[int]) -> float:
    """Changes the file for each number, starts a machine, and returns the least wall time until QEMU is called.

    Before, it is started once, so that the launcher itself is built.
    """
    stand_in = folder / "qemu"
    stand_in.write_text('#!/bin/sh\n[ "$1" != --version ] || echo "QEMU emulator version 10.0"\n')
    stand_in.chmod(0o755)
    options = (f"--qemu={stand_in}", "--accel=tcg", "--ssh_port=0", "--http_port=0")
    bazel.run(_LAUNCHER, *options)
    taken = []
    for number in numbers:
        edit(bazel, number)
        taken.append(bazel.run(_LAUNCHER, *options))
    return min(taken)


def report_written(sizes: Counter[tuple[str, str]]) -> None:
    """Prints the sizes of what actions wrote: the outputs that were asked for, and the others by mnemonics."""
    asked = {f"bin/{_PACKAGE}/{name}{digest}" for name in IMAGES for digest in ("", ".sha256")}
    others: Counter[str] = Counter()
    total = 0
    for (mnemonic, path), size in sizes.items():
        # An output is bazel-out/CONFIGURATION/bin/PATH.
        if path.split("/", 2)[-1] in asked:
            total += size
        else:
            others[mnemonic] += size
    print(f"{'one changed file writes':<32} {'MB':>8}")
    print(f"{'the 12 outputs':<32} {total / 1e6:8.2f}")
    print(f"{'other files':<32} {others.total() / 1e6:8.2f}, {others.total() / max(total, 1):.1%} of these")
    for mnemonic, size in others.most_common():
        print(f"  {mnemonic:<30} {size / 1e6:8.2f}")


def report_memory(peaks: Mapping[str, int]) -> None:
    """Prints the peak memory of the commands that Bazel keeps running."""
    print(f"{'peak memory':<32} {'MiB':>8}")
    for name, peak in sorted(peaks.items(), key=lambda item: -item[1]):
        print(f"  {name:<30} {peak / (1 << 20):8.0f}")


def report(changes: Sequence[Change], nothing: Build) -> None:
    """Prints the best of the changes."""
    best = min(changes, key=lambda change: change.build.cpu_total)
    wall, cpu = min(each.build.wall for each in changes), best.build.cpu_total
    floors = zip(*(each.floor for each in changes), strict=True)
    copied = [Measure(min(m.wall for m in same), min(m.cpu for m in same), 0) for same in floors]
    print(f"{'':<32} {'wall s':>8} {'cpu s':>8}")
    print(f"{'one changed file, 12 outputs':<32} {wall:8.2f} {cpu:8.2f}")
    for name, seconds in sorted(best.build.cpu.items(), key=lambda item: -item[1]):
        print(f"  {name:<39} {seconds:8.2f}")
    for name, took in best.actions.most_common(12):
        print(f"  {name:<30} {took / 1e6:8.2f}")
    print(f"{'nothing changed':<32} {nothing.wall:8.2f} {nothing.cpu_total:8.2f}")
    for step, least in zip(floor(Path()), copied, strict=True):
        print(f"{step.name:<32} {least.wall:8.2f} {least.cpu:8.2f}")
    both = Measure(sum(m.wall for m in copied), sum(m.cpu for m in copied), 0)
    print(f"ours takes {wall / both.wall:.1f} times the wall time, {cpu / both.cpu:.1f} times the CPU time")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    checkout = called_in("//bench:changed_file")
    with work_folder(arguments.work) as folder:
        (folder / "copies").mkdir(parents=True, exist_ok=True)
        with scratch_build(checkout, folder, arguments.flag) as bazel:
            bazel.build(*targets())
            changes = [change(bazel, folder, number) for number in range(arguments.runs + 1)]
            # The first one starts the commands.
            report(changes[1:], bazel.build(*targets()))
            report_memory(bazel.peak_memory())
            report_written(written_by_change(bazel, folder, len(changes)))
            numbers = range(len(changes) + 1, len(changes) + 1 + arguments.runs)
            print(f"{'one changed file, .tar.zst alone':<32} {one_output(bazel, numbers):8.2f}")
            numbers = range(numbers.stop, numbers.stop + arguments.runs)
            print(f"{'one changed file, QEMU is called':<32} {start(bazel, folder, numbers):8.2f}")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
