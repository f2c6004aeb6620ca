"""A call of each command that writes files made from its inputs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import zstandard

from tools.image.extents import Data, Extent, Image
from tools.image.rawfile import write_raw
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.debian_packages import build_deb
from tools.testing.grub_files import build_grub
from tools.testing.oci_layouts import add_image, layer, write_layout
from tools.testing.oracles import ask
from tools.testing.pe_files import kernel, pe_file
from tools.testing.sample_disk import MIB, disk, ext4, fat, root_tree
from tools.testing.uefi_files import make_certificate, variable_store
from tools.tree.tar_writer import tar_image

ID = "8f0c2d4e-5a61-4b7c-9d8e-0f1a2b3c4d5e"
ARTIFACT = {"image": "in/root.img.tar", "offset": 0}
ENTRY = {"entries": [{"path": "key", "source": "in/text"}, {"path": "all", "type": "files", "source": "in/folder"}]}

CASES: dict[str, dict[str, Any]] = {
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
    "discoverable_image": {
        "data": "in/root.img.tar",
        "hashes": "in/root.img.tar",
        "signature": "in/root.img.tar",
        "root_hash_file": "in/root_hash",
        "architecture": "x86_64",
        "output": "out/file",
    },
    "discoverable_layout": {
        "layout": "in/discoverable.csv",
        "root_hash_file": {"root": "in/root_hash"},
        "output": "out/file",
    },
    "erofs_image": {"uuid": ID, "layers": [ENTRY], "output": "out/file"},
    "ext4_image": {"size": MIB, "uuid": ID, "layers": [ENTRY], "output": "out/file"},
    "extension_release": {
        "kind": "sysext",
        "id": "_any",
        "layers": [{"entries": [{"path": "usr/key", "source": "in/text"}]}],
        "output": "out/file",
    },
    "grub_image": {
        "deb": ["in/grub.deb"],
        "config": ["in/text"],
        "module": ["chain"],
        "certificate": "in/platform.pem",
        "output": "out/file",
    },
    "grub_signature": {"file": "in/text", "to_sign_output": "out/file"},
    "image_export": {"parts": [ARTIFACT], "output": "out/image.raw"},
    "image_extract": {"image": "in/disk.img", "output": "out/file"},
    "image_layers": {"parts": [{"name": "", "tree": {"layers": [ENTRY]}}], "output": "out/file"},
    "image_report": {"image": "in/disk.img", "html": "out/html", "json": "out/json"},
    "initramfs": {
        "layer": ["in/tree.tar"],
        "init": "in/text",
        "partitions": "in/partitions.csv",
        "disk_guid": ID,
        "output": "out/file",
    },
    "oci_root": {"layout": "in/layout", "output": "out/file"},
    "pcr_signature": {"file": "in/uki.efi", "key": "in/platform.key.pem", "output": "out/file"},
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
    "squashfs_image": {"layers": [ENTRY], "output": "out/file"},
    "tree_snapshot_check": {"tree": "in/text", "output": "out/tree.mtree"},
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
    "verity_signature_image": {
        "root_hash_file": "in/root_hash",
        "key": "in/platform.key.pem",
        "certificate": "in/platform.pem",
        "output": "out/file",
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
"""For each command that writes something of what it reads: arguments with inputs in `in`, and all outputs in `out`."""


def make_inputs(folder: Path, content: str = "secret") -> None:
    """Makes a folder of all inputs but the manifest, with a content of files and images."""
    (folder / "folder").mkdir(parents=True)
    for path in ("text", "folder/file"):
        (folder / path).write_text(f"{content}\n")
    (folder / "root_hash").write_text(hashlib.sha256(content.encode()).hexdigest())
    (folder / "text.zst").write_bytes(zstandard.compress(content.encode()))
    (folder / "stub.efi").write_bytes(pe_file())
    (folder / "store.fd").write_bytes(variable_store())
    key, _ = make_certificate(folder, "platform")
    public = ask("openssl", "pkey", "-in", key, "-pubout").encode()
    (folder / "uki.efi").write_bytes(pe_file([(".linux", b"kernel"), (".pcrpkey", public)]))
    (folder / "kernel").write_bytes(kernel())
    (folder / "partitions.csv").write_text("root,2048,16384,L,,\n")
    (folder / "discoverable.csv").write_text("root,2048,16384,root-x86-64,,\n")
    (folder / "advisories.json").write_text("{}")
    (folder / "sbom.json").write_text('{"bomFormat": "CycloneDX", "serialNumber": "", "components": []}')
    write_raw(tar_image(root_tree(f"usr/lib/modules/6.1/x = {content}", "boot/vmlinuz-6.1 = k")), folder / "tree.tar")
    image = Image(4 * MIB, [Extent(0, 512, Data(content.encode().ljust(512)))])
    write_raw(archive_of([Member.of("root.img", image)]).image, folder / "root.img.tar")
    write_layout(folder / "layout", add_image(folder / "layout", [layer(f"a = {content}")]))
    write_raw(disk(fat(root_tree(f"a = {content}")), ext4(root_tree())), folder / "disk.img")
    build_deb(folder, "package").rename(folder / "package.deb")
    build_grub(folder, content)
    ask("openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "key.pem")
