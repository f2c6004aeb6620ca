"""Tests Bazel's error messages for invalid configurations of the GuestOS and of images in another module."""

from collections.abc import Iterator

import pytest

from tests.downstream import MODULE, Workspace

LAYOUT = """\
name,start,size,type,uuid,comment
root,2048,8192,L,c8b0a1f2-0000-4000-8000-000000000003,system
"""
PACKAGE = """
load("@rules_icos//defs:defs.bzl", "disk_image", "ext4_image", "rootfs_tree", "upgrade_image")

ext4_image(
    name = "too_full",
    extra_files = {"replica": "opt/replica"},
    partition_size = "4M",
    uuid = "c8b0a1f2-0000-4000-8000-000000000001",
)

rootfs_tree(
    name = "programs",
    executables = ["/opt/*"],
    extra_files = {"replica": "opt/replica:0755"},
)

ext4_image(
    name = "cannot_start",
    src = ":programs",
    partition_size = "32M",
    uuid = "c8b0a1f2-0000-4000-8000-000000000001",
)

ext4_image(
    name = "too_large",
    partition_size = "8M",
    uuid = "c8b0a1f2-0000-4000-8000-000000000001",
)

disk_image(
    name = "small_disk",
    disk_guid = "c8b0a1f2-0000-4000-8000-000000000002",
    layout = "layout.csv",
    partitions = {":too_large": "root"},
)

disk_image(
    name = "unknown_partition",
    disk_guid = "c8b0a1f2-0000-4000-8000-000000000002",
    layout = "layout.csv",
    partitions = {":too_large": "roof"},
)

[
    upgrade_image(
        name = name,
        boot_partition = ":too_large",
        product = "x",
        refused_keys = ["@rules_icos//ic-os/guestos/update-keys:test-only.pem"],
        root_partition = ":too_large",
        signing_key = key,
        variant = "prod",
        version_file = "version.txt",
    )
    for name, key in {
        "signed_by_anybody": "@rules_icos//ic-os/guestos/update-keys:test-only.key.pem",
        "not_signed": None,
    }.items()
]
"""
PROD_WITH_PASSWORD = """
load("@rules_icos//ic-os/guestos:defs.bzl", "guestos_image")

guestos_image(
    name = "prod",
    base = "base.tar",
    disk_keys = "clear",
    passwords = {"root": "secret"},
    signing_key = None,
    update_keys = [],
)
"""
SEALED = """
load("@rules_icos//defs:defs.bzl", "own_keys")
load("@rules_icos//ic-os/guestos:defs.bzl", "guestos_image")

guestos_image(
    name = "sealed",
    base = "base.tar",
    disk_keys = "tpm",
    secure_boot = {keys},
    signing_key = None,
    update_keys = [],
)
"""
OWN_KEYS = 'own_keys(certificate = "db.pem", grub = "grub", key = "db.key.pem", stub = "stub", {pcr})'
SEALED_WITHOUT = {
    "own_keys": "None",
    "pcr_key": OWN_KEYS.format(pcr=""),
    "pcr_public_key": OWN_KEYS.format(pcr='pcr_key = "pcr.key.pem"'),
}
DEV = "@rules_icos//ic-os/guestos/dev:disk-img.tar"
OPTION = "--@rules_icos//ic-os/guestos:"
# Another module doesn't have the packages of the GuestOS, which is an error as well. Without --keep_going, Bazel
# reports the one that it finds first.
ANALYZE = ("--nobuild", "--keep_going")


@pytest.fixture(scope="module")
def downstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("downstream")
    found = Workspace(folder / "workspace", folder / "bazel")
    (found.folder / "prod").mkdir(parents=True)
    (found.folder / "MODULE.bazel").write_text(MODULE)
    (found.folder / "BUILD.bazel").write_text(PACKAGE)
    (found.folder / "prod/BUILD.bazel").write_text(PROD_WITH_PASSWORD)
    for missing, keys in SEALED_WITHOUT.items():
        (found.folder / "without" / missing).mkdir(parents=True)
        (found.folder / "without" / missing / "BUILD.bazel").write_text(SEALED.replace("{keys}", keys))
    (found.folder / "layout.csv").write_text(LAYOUT)
    (found.folder / "version.txt").write_text("1\n")
    (found.folder / "replica").write_bytes(b"\1" * (6 << 20))
    yield found
    found.bazel("shutdown")


def refused(downstream: Workspace, *arguments: str) -> str:
    """Returns Bazel's output for a build that must fail."""
    status, said = downstream.build(*arguments)
    assert status != 0, said
    assert 'Traceback (most recent call last):\n  File "/' not in said, said
    return said


def test_unknown_distribution(downstream: Workspace) -> None:
    said = refused(downstream, *ANALYZE, OPTION + "distribution=beos", DEV)
    assert "distribution" in said, said
    assert "beos" in said, said
    assert '"debian", "ubuntu"' in said, said


def test_empty_version(downstream: Workspace) -> None:
    said = refused(downstream, *ANALYZE, OPTION + "version=", DEV)
    assert 'ic-os/guestos:version: "" is not a version; it has one or more letters, digits and' in said, said


def test_password_for_prod(downstream: Workspace) -> None:
    said = refused(downstream, "//prod:all")
    assert "prod: must have no passwords, since nobody logs in there; got one for root" in said, said
    assert "secret" not in said, said


@pytest.mark.parametrize("missing", ["own_keys", "pcr_key"])
def test_keys_that_no_tpm_would_open(downstream: Workspace, missing: str) -> None:
    said = refused(downstream, f"//without/{missing}:all")
    message = 'sealed: disk_keys: "tpm" needs the signatures by which a TPM opens the key; give pcr_key in secure_boot'
    assert message in said, said


def test_a_private_pcr_key_alone(downstream: Workspace) -> None:
    said = refused(downstream, "//without/pcr_public_key:all")
    assert "own_keys: pcr_key, pcr_public_key: belong together; give both or none" in said, said


def test_files_that_do_not_fit(downstream: Workspace) -> None:
    said = refused(downstream, "//:too_full")
    assert "error: @@//:too_full: partition_size: ext4: the tree does not fit in 4.0 MiB" in said, said
    assert "the largest directories, without those below them: /opt (6.0 MiB)" in said, said
    assert not (downstream.folder / "bazel-bin/too_full.img.tar").exists()


def test_programs_that_cannot_start(downstream: Workspace) -> None:
    said = refused(downstream, "//:cannot_start")
    assert "/opt/replica (of @@//:programs) is neither an ELF file nor a script with an interpreter" in said, said
    assert not (downstream.folder / "bazel-bin/cannot_start.img.tar").exists()


def test_image_larger_than_its_partition(downstream: Workspace) -> None:
    """The check runs without building the disk, and reports it once."""
    said = refused(downstream, "//:small_disk.tar")
    assert "partition root: has 4194304 bytes in layout.csv, and 8388608 are needed for @@//:too_large" in said, said
    assert "enlarge the partition to at least 8M, or reduce @@//:too_large: partition_size" in said, said
    assert said.count("partition root: has") == 1, said


def test_partition_that_the_layout_does_not_have(downstream: Workspace) -> None:
    said = refused(downstream, "//:unknown_partition.tar")
    assert "partition roof: is not in layout.csv, which has root" in said, said


def test_upgrade_that_nobody_signs(downstream: Workspace) -> None:
    said = refused(downstream, "--nobuild", "//:not_signed.tar")
    assert "//:not_signed: signing_key, signatures: are both missing, so no machine would install this" in said, said
    assert "give one, or unsigned = True" in said, said


def test_upgrade_that_is_signed_by_the_key_for_tests(downstream: Workspace) -> None:
    said = refused(downstream, "//:signed_by_anybody.tar")
    assert "test-only.key.pem: must not sign this: it is the private half of" in said, said
    assert not (downstream.folder / "bazel-bin/signed_by_anybody.tar").exists()
