"""Tests the available memory with files as the kernel writes them."""

from pathlib import Path

import pytest

from tools.debian.memory import available_memory


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MACHINE = {"proc/meminfo": "MemTotal:   9000 kB\nMemAvailable:    1000 kB\n"}
GROUPS = {"proc/self/cgroup": "1:name=other:/elsewhere\n0::/outer/inner\n", "sys/fs/cgroup/cgroup.procs": ""}


def group(name: str, limit: str, used: int) -> dict[str, str]:
    return {f"sys/fs/cgroup/{name}/memory.max": f"{limit}\n", f"sys/fs/cgroup/{name}/memory.current": f"{used}\n"}


def test_of_the_machine(tmp_path: Path) -> None:
    assert available_memory(write(tmp_path, MACHINE)) == 1024000
    assert available_memory() > 0


def test_of_a_group(tmp_path: Path) -> None:
    write(tmp_path, MACHINE | GROUPS | group("outer/inner", "max", 50))
    assert available_memory(tmp_path) == 1024000
    assert available_memory(write(tmp_path, group("outer", "700", 200))) == 500
    assert available_memory(write(tmp_path, group("outer/inner", "300", 250))) == 50
    assert available_memory(write(tmp_path, group("outer/inner", "300", 301))) == 0


def old_group(name: str, limit: int, used: int) -> dict[str, str]:
    folder = f"sys/fs/cgroup/memory/{name}"
    return {f"{folder}/memory.limit_in_bytes": f"{limit}\n", f"{folder}/memory.usage_in_bytes": f"{used}\n"}


@pytest.mark.parametrize("controllers", ["memory", "cpu,memory"])
def test_of_a_group_of_version_1(tmp_path: Path, controllers: str) -> None:
    """There, no limit is the highest number of pages; /sys/fs/cgroup may have both versions."""
    groups = {"proc/self/cgroup": f"4:{controllers}:/outer/inner\n1:name=systemd:/\n0::/\n"}
    write(tmp_path, MACHINE | groups | old_group("outer/inner", 9223372036854771712, 50) | old_group("", 800, 100))
    assert available_memory(tmp_path) == 700
    assert available_memory(write(tmp_path, old_group("outer", 700, 200))) == 500
    assert available_memory(write(tmp_path, old_group("outer/inner", 300, 250))) == 50
    assert available_memory(write(tmp_path, old_group("outer/inner", 300, 301))) == 0


def test_unknown(tmp_path: Path) -> None:
    assert available_memory(tmp_path) == 0
