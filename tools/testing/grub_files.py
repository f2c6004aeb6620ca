"""A package with the files of a boot loader that our tools take for GRUB, for tests. It cannot be started."""

from __future__ import annotations

from pathlib import Path

from tools.testing.debian_packages import build_deb
from tools.testing.oracles import ask

MODULES = ("chain", "gcry_rsa", "gcry_sha256", "memdisk", "normal", "pgp", "tar")


def build_grub(folder: Path, content: str = "module") -> Path:
    """Builds the package grub.deb in a folder, with a content of modules; returns its path."""
    root = folder / "grub.root"
    files = root / "usr/lib/grub/x86_64-efi"
    files.mkdir(parents=True)
    (folder / "grub.s").write_text(".globl _start\n_start: movabs $_start, %rax\n.data\n.quad _start\n")
    ask("as", "--64", "-o", files / "kernel.img", folder / "grub.s")
    (files / "moddep.lst").write_text("".join(f"{name}:\n" for name in MODULES))
    for name in MODULES:
        (files / f"{name}.mod").write_text(f"{name} {content}\n")
    return build_deb(folder, "grub", root).rename(folder / "grub.deb")
