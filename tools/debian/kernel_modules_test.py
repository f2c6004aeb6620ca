"""Tests of finding outdated indexes of kernel modules."""

from pathlib import Path

from tools.debian.kernel_modules import outdated_indexes


def add_kernel(root: Path, version: str, modules: list[str], index: str) -> None:
    for name in modules:
        path = root / "usr/lib/modules" / version / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "usr/lib/modules" / version / "modules.dep").write_text(index)


def test_an_index_that_names_a_missing_module_is_outdated(tmp_path: Path) -> None:
    index = "kernel/a.ko.xz:\nkernel/b/b.ko.xz: kernel/a.ko.xz\n"
    add_kernel(tmp_path, "6.1-whole", ["kernel/a.ko.xz", "kernel/b/b.ko.xz"], index)
    add_kernel(tmp_path, "6.2-part", ["kernel/a.ko.xz"], index)
    add_kernel(tmp_path, "6.3-part", ["kernel/b/b.ko.xz"], index)
    assert list(outdated_indexes(tmp_path)) == ["6.2-part", "6.3-part"]


def test_without_a_kernel_there_is_none(tmp_path: Path) -> None:
    assert list(outdated_indexes(tmp_path)) == []
