"""Tests the available memory with files as the kernel writes them."""

from pathlib import Path

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


def test_unknown(tmp_path: Path) -> None:
    assert available_memory(tmp_path) == 0
