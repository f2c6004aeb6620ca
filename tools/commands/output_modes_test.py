"""Tests that no command makes an output that is open to more users than the files that it is made from."""

import importlib
import json
import os
import re
import stat
from pathlib import Path

import pytest
import zstandard

from tools.core.cli import call
from tools.core.json_spec import OutputName
from tools.core.parameters import parameters
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.debian_packages import build_deb
from tools.testing.oci_layouts import add_image, layer, write_layout
from tools.testing.oracles import ask
from tools.testing.pe_files import kernel, pe_file
from tools.testing.sample_disk import MIB, disk, ext4, fat, root_tree
from tools.testing.uefi_files import make_certificate, variable_store
from tools.tree.tar_writer import tar_image

ID = "8f0c2d4e-5a61-4b7c-9d8e-0f1a2b3c4d5e"
ARTIFACT = {"image": "in/root.img.tar", "offset": 0}
ENTRY = {"entries": [{"path": "key", "source": "in/text"}, {"path": "all", "type": "files", "source": "in/folder"}]}

CASES = {
    "boot_args": {"input": ["in/text"], "output": "out/file"},
    "compress": {"input": "in/text", "output": "out/file.gz"},
    "debian_data": {"deb": ["in/package.deb"], "output": "out/file"},
    "decompress": {"input": "in/text.zst", "output": "out/file"},
    "disk_image": {
        "layout": "in/partitions.csv",
        "disk_guid": ID,
        "partitions": [{"name": "root", "parts": [ARTIFACT]}],
        "output_tar": "out/tar",
        "output_zst": "out/zst",
        "output_gz": "out/gz",
        "output_raw": "out/raw",
        "sha256": True,
    },
    "ext4_image": {"size": MIB, "uuid": ID, "layers": [ENTRY], "output": "out/file"},
    "image_export": {"parts": [ARTIFACT], "output": "out/image.raw"},
    "image_extract": {"image": "in/disk.img", "output": "out/file"},
    "image_report": {"image": "in/disk.img", "html": "out/html", "json": "out/json"},
    "initramfs": {
        "layer": ["in/tree.tar"],
        "init": "in/text",
        "partitions": "in/partitions.csv",
        "disk_guid": ID,
        "output": "out/file",
    },
    "oci_root": {"layout": "in/layout", "output": "out/file"},
    "raw_disk": {"disk": "in/disk.img", "output": "out/file"},
    "raw_partition": {"input": "in/text", "size": MIB, "output": "out/file"},
    "sbom": {
        "parts": [{"name": "", "tree": {"layers": [ENTRY]}}],
        "name": "image",
        "spdx": "out/spdx",
        "cyclonedx": "out/cyclonedx",
    },
    "secure_boot_keys": {
        "pk_certificate": "in/platform.pem",
        "kek_certificate": "in/platform.pem",
        "db_certificate": ["in/platform.pem"],
        "owner": ID,
        "ovmf_template": "in/store.fd",
        "ovmf_output": "out/file",
    },
    "secure_boot_signature": {"file": "in/stub.efi", "to_sign_output": "out/file"},
    "sha256": {"input": "in/text", "output": "out/file"},
    "unified_kernel_image": {
        "stub": "in/stub.efi",
        "kernel": "in/kernel",
        "initrd": "in/text",
        "os_release": "in/text",
        "word": ["quiet"],
        "output": "out/file",
    },
    "upgrade_image": {
        "manifest": "in/manifest",
        "images": [{"name": "root.img", "parts": [ARTIFACT]}],
        "output_tar": "out/tar",
        "sha256": True,
    },
    "upgrade_manifest": {
        "product": "p",
        "variant": "v",
        "architecture": "x86_64",
        "version": "1",
        "images": [{"name": "root.img", "parts": [ARTIFACT]}],
        "output": "out/file",
    },
    "upgrade_signature": {"manifest": "in/text", "key": ["in/key.pem"], "output": "out/file"},
    "verity_image": {
        "input": "in/root.img.tar",
        "uuid": ID,
        "salt": "00",
        "output": "out/file",
        "root_hash_file": "out/hash",
    },
    "vfat_image": {"size": MIB, "volume_id": "12AB34CD", "file": ["a=in/text", "b=in/folder"], "output": "out/file"},
    "virtual_disk": {"disk": "in/disk.img", "format": "qcow2", "output": "out/file"},
    "vulnerability_report": {
        "sbom": "in/sbom.json",
        "advisories": ["in/advisories.json"],
        "release": "trixie",
        "output": "out/file",
    },
}
"""For each command its arguments; it must write all of its outputs to `out`."""

WITHOUT_CONTENT = {
    "debian_base_root": "its inputs are packages of an archive; it starts their programs",
    "debian_lock_check": "its output is empty",
    "debian_lock_update": "its output is made from the lists of an archive",
    "disk_layout_check": "its output is empty",
    "swap_image": "it has no inputs",
    "vm_boot_check": "its output is what a machine prints",
    "vm_launcher": "the disk that it keeps is always secret",
}
"""The commands whose outputs have nothing of files that they are given, with the reason."""


def module(name):
    return importlib.import_module(f"tools.commands.{name}")


def make_inputs(folder):
    (folder / "folder").mkdir(parents=True)
    for path in ("text", "folder/file"):
        (folder / path).write_text("secret\n")
    (folder / "text.zst").write_bytes(zstandard.compress(b"secret"))
    (folder / "stub.efi").write_bytes(pe_file())
    (folder / "store.fd").write_bytes(variable_store())
    make_certificate(folder, "platform")
    (folder / "kernel").write_bytes(kernel())
    (folder / "partitions.csv").write_text("root,2048,16384,L,,\n")
    (folder / "advisories.json").write_text("{}")
    (folder / "sbom.json").write_text('{"bomFormat": "CycloneDX", "serialNumber": "", "components": []}')
    write_raw(tar_image(root_tree("usr/lib/modules/6.1/x = m", "boot/vmlinuz-6.1 = k")), folder / "tree.tar")
    write_raw(archive_of([Member.of("root.img", Image(4 * MIB))]).image, folder / "root.img.tar")
    write_layout(folder / "layout", add_image(folder / "layout", [layer("a = b")]))
    write_raw(disk(fat(root_tree("a = b")), ext4(root_tree())), folder / "disk.img")
    build_deb(folder, "package").rename(folder / "package.deb")
    ask("openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "key.pem")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with all inputs in `in`, and a place for outputs. The umask is the usual one."""
    before = os.umask(0o022)
    monkeypatch.chdir(tmp_path)
    make_inputs(tmp_path / "in")
    assert run("upgrade_manifest", {"output": "in/manifest"}) == 0
    (tmp_path / "out").mkdir()
    yield tmp_path
    os.umask(before)


def set_modes(folder, mode):
    for path in (folder / "in").rglob("*"):
        if path.is_file():
            path.chmod(mode)
            os.chown(path, -1, os.getegid())


def run(name, changes=None):
    Path("spec.json").write_text(json.dumps(CASES[name] | (changes or {})))
    return call(module(name).main, module(name).Arguments, "", [name, "--spec=spec.json"])


def modes_of_outputs(folder, name):
    assert run(name) == 0
    outputs = {each.name for each in parameters(module(name).Arguments) if each.type == OutputName}
    written = [Path(value) for key, value in CASES[name].items() if key in outputs]
    if CASES[name].get("sha256"):
        written += [Path(f"{path}.sha256") for path in written]
    assert sorted(written) == sorted(path.relative_to(folder) for path in (folder / "out").iterdir())
    return {stat.S_IMODE(path.stat().st_mode) for path in written}


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_for_the_readers_of_the_inputs(folder, name):
    for mode, expected in ((0o600, 0o600), (0o640, 0o640), (0o644, 0o644)):
        set_modes(folder, mode)
        assert modes_of_outputs(folder, name) == {expected}


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_secret_from_their_first_byte(folder, monkeypatch, name):
    """The mode is right when the output is made, not set afterwards."""

    def refuse(*_):
        raise AssertionError("the mode of an output was changed")

    monkeypatch.setattr(os, "fchmod", refuse)
    set_modes(folder, 0o600)
    assert modes_of_outputs(folder, name) == {0o600}


def test_a_signature_is_open_though_its_key_is_not(folder):
    (folder / "in/key.pem").chmod(0o600)
    assert modes_of_outputs(folder, "upgrade_signature") == {0o644}


def test_an_output_that_was_secret_is_no_input(folder):
    for name in ("tar", "zst", "gz", "raw"):
        (folder / "out" / name).touch(0o600)
    assert modes_of_outputs(folder, "disk_image") == {0o644}


def declared_commands():
    build = (Path(__file__).parent / "BUILD.bazel").read_text()
    names = re.findall(r'^command\(\n    name = "(\w+)"', build, re.MULTILINE)
    assert len(names) > 20
    return {name: parameters(module(name).Arguments) for name in names}


def test_there_is_a_case_for_every_command_that_writes_a_file():
    writing = {name for name, given in declared_commands().items() if any(each.type == OutputName for each in given)}
    assert writing == CASES.keys() | WITHOUT_CONTENT.keys()


def test_arguments_that_name_outputs_have_the_type_of_outputs():
    given = [(name, each) for name, arguments in declared_commands().items() for each in arguments if each.names_files]
    assert [(name, each.name) for name, each in given if "to write" in each.help and each.type != OutputName] == []
