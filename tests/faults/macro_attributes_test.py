"""Tests Bazel's error messages for attributes of macros with a wrong type or size, in a module that uses the rules.

Nothing is built. It runs the Bazel in PATH, so it can't run in Bazel's sandbox.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.downstream import MODULE, MODULE_FLAGS, PLAIN_OUTPUT, Workspace, output_user_root

SYSTEM = """
load("@rules_icos//defs:defs.bzl", "ab_system")
ab_system(
    name = "disk",
    disk_guid = "6e2d91c4-7f38-4d0a-b1c6-5a9e3f8d7000",
    grub = ":grub",
    layers = [":base"],
    product = "example",
    shim = ":shim",
    version_file = "version.txt",
    keys = ["key.pem"],
    {attribute},
)
"""
DISK = """
load("@rules_icos//defs:defs.bzl", "disk_image")
disk_image(name = "disk", disk_guid = "6e2d91c4-7f38-4d0a-b1c6-5a9e3f8d7000", layout = "layout.csv", {attribute})
"""
BOOT = """
load("@rules_icos//defs:defs.bzl", "vm_boot_test")
vm_boot_test(name = "disk", disk = ":image.tar", {attribute})
"""
SNAPSHOT = """
load("@rules_icos//defs:defs.bzl", "tree_snapshot_test")
tree_snapshot_test(name = "disk", src = ":root", {attribute})
"""
CHECK = """
load("@rules_icos//defs:defs.bzl", "filesystem_check_test", "image_structure_test")
filesystem_check_test(name = "disk", image = "image.tar", {attribute})
image_structure_test(name = "structure", image = "image.tar", {attribute})
"""


@dataclass(frozen=True)
class Mistake:
    """A package with a wrong attribute.

    Attributes:
        build: its BUILD file, with a place for the attribute.
        attribute: the attribute, as it is written.
        message: what Bazel prints after the label of the target; None if there is no mistake.
    """

    build: str
    attribute: str
    message: str | None


MISTAKES = {
    "blanks": Mistake(
        SYSTEM,
        'boot_size = "32 MB"',
        'boot_size: "32 MB" is not a size; write a number of bytes, or one with K, M, G or T: "32M"',
    ),
    "negative": Mistake(
        SYSTEM,
        'data_size = "-1"',
        'data_size: "-1" is not a size; write a number of bytes, or one with K, M, G or T, such as "32M"',
    ),
    "empty_size": Mistake(
        SYSTEM,
        'data_size = ""',
        'data_size: "" is not a size; write a number of bytes, or one with K, M, G or T, such as "32M"',
    ),
    "part_of_a_block": Mistake(
        SYSTEM,
        'root_size = "33554433"',
        'root_size: "33554433" is not a multiple of 4096 bytes; the next one is "33558528"',
    ),
    "nothing": Mistake(SYSTEM, 'esp_size = "0"', 'esp_size: "0" is less than 4096 bytes; choose a larger size'),
    "number": Mistake(
        SYSTEM, "root_files_size = 300", 'root_files_size: 300 is of type int; write a size as a string, such as "32M"'
    ),
    "root_type": Mistake(
        SYSTEM, 'root_type = "btrfs"', 'root_type: "btrfs" is not a file system of the root; give erofs or ext4'
    ),
    "list_of_files": Mistake(
        SYSTEM, 'extra_files = ["a.txt"]', 'extra_files: ["a.txt"] is of type list; give a dict in braces'
    ),
    "one_unit": Mistake(
        SYSTEM, 'healthy = "a.service"', 'healthy: "a.service" is of type string; give a list in brackets'
    ),
    "number_as_unit": Mistake(SYSTEM, "healthy = [1]", "healthy: 1 is of type int; give a string in quotes"),
    "misspelt_unit": Mistake(
        SYSTEM,
        'healthy = ["app.servcie"]',
        'healthy: "app.servcie" is no name of a unit; give one such as app.service',
    ),
    "two_units_in_one": Mistake(
        SYSTEM,
        'healthy = ["app.service web.service"]',
        'healthy: "app.service web.service" is no name of a unit; give one such as app.service',
    ),
    "template": Mistake(
        SYSTEM,
        'healthy = ["app@.service"]',
        "healthy: app@.service is a template, which never starts; give an instance of it, such as app@1.service",
    ),
    "many_units": Mistake(
        SYSTEM, r'healthy = ["-.mount", "app@a-b.service", "dev-vda\\x2d1.device", "a:b_c.timer"]', None
    ),
    "chosen_units": Mistake(SYSTEM, 'healthy = select({"//conditions:default": ["app.service"]})', "healthy: select({"),
    "index_as_text": Mistake(SYSTEM, 'rollback_index = "7"', 'rollback_index: "7" is of type string; give a number'),
    "name_of_a_partition": Mistake(
        SYSTEM,
        'extra_partitions = {"my-logs": "64M"}',
        'extra_partitions: "my-logs" is no name for one; write up to 16 lower-case letters and digits, a letter first',
    ),
    "partition_of_the_system": Mistake(
        SYSTEM, 'extra_partitions = {"var": "64M"}', "extra_partitions: var is taken by the system; choose another name"
    ),
    "number_as_a_partition": Mistake(
        SYSTEM,
        'extra_partitions = {1: "64M"}',
        "extra_partitions: 1 is no name for one; write up to 16 lower-case letters and digits, a letter first",
    ),
    "chosen_partitions": Mistake(
        SYSTEM, 'extra_partitions = select({"//conditions:default": {"logs": "64M"}})', "extra_partitions: select({"
    ),
    "image_that_is_none": Mistake(
        SYSTEM, 'extra_partitions = {"logs": "64M"}, extra_partition_images = {"logs": None}', None
    ),
    "size_of_a_partition": Mistake(
        SYSTEM, 'extra_partitions = {"logs": "64 MB"}', 'extra_partitions: logs: "64 MB" is not a size; write a number'
    ),
    "image_without_a_partition": Mistake(
        SYSTEM,
        'extra_partition_images = {"logs": ":logs"}',
        "extra_partition_images: logs is not in extra_partitions, which has the sizes; add it there",
    ),
    "misspelt": Mistake(
        SYSTEM,
        "root_file_size = 300",
        "root_file_size: is not an attribute of ab_system; did you mean root_files_size?",
    ),
    "misspelt_of_the_tree": Mistake(
        SYSTEM,
        'passwrods = {"root": "root"}',
        "passwrods: is not an attribute of ab_system; did you mean passwords?",
    ),
    "unknown": Mistake(SYSTEM, "colour = 1", "colour: is not an attribute of ab_system; see its reference"),
    "of_all_rules": Mistake(SYSTEM, 'deprecation = "Old.", passwords = {"root": "root"}', None),
    "long_health": Mistake(
        SYSTEM, "healthy_seconds = 3601", "healthy_seconds: 3601 is not a number of seconds from 0 to 3600"
    ),
    "negative_index": Mistake(
        SYSTEM, "rollback_index = -1", "rollback_index: -1 is not a rollback index; write a number from 0 to 4294967295"
    ),
    "guid": Mistake(
        SYSTEM.replace('disk_guid = "6e2d91c4-7f38-4d0a-b1c6-5a9e3f8d7000",', ""),
        "disk_guid = 1",
        "disk_guid: 1 is of type int; write a UUID as a string, such as",
    ),
    "list_of_partitions": Mistake(
        DISK, 'partitions = [":esp"]', 'partitions: [":esp"] is of type list; give a dict in braces'
    ),
    "list_of_images": Mistake(
        DISK, 'partitions = {"esp": [":esp"]}', 'partitions: esp: [":esp"] is of type list; give the label of one image'
    ),
    "signed": Mistake(SYSTEM, 'signing_key = "private.pem"', None),
    "no_password": Mistake(BOOT, "password = None", "password: None is of type NoneType; give a string in quotes"),
    "port": Mistake(BOOT, 'ports = ["22"]', 'ports: "22" is not a port; write a number from 1 to 65535'),
    "large_port": Mistake(BOOT, "ports = [70000]", "ports: 70000 is not a port; write a number from 1 to 65535"),
    "debian_architecture": Mistake(
        BOOT,
        'architecture = "arm64"',
        'architecture: "arm64" is not one that machines can have; write "aarch64" or "x86_64"',
    ),
    "no_architecture": Mistake(
        BOOT, "architecture = None", "architecture: None is of type NoneType; give a string in quotes"
    ),
    "list_elsewhere": Mistake(
        SNAPSHOT, 'snapshot = ":root.mtree"', 'snapshot: ":root.mtree" is not a file of this package; write its name'
    ),
    "missing_list": Mistake(SNAPSHOT, 'snapshot = "root.mtree"', None),
    "no_tags": Mistake(BOOT, "tags = None", None),
    "number_of_a_partition": Mistake(CHECK, "partition = 1", None),
    "without_program": Mistake(CHECK.partition("image_structure_test(")[0], "skip_if_missing = True", None),
}


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A module with a package for each mistake."""
    folder = tmp_path_factory.mktemp("module")
    (folder / "MODULE.bazel").write_text(MODULE)
    for name, mistake in MISTAKES.items():
        (folder / name).mkdir()
        (folder / name / "BUILD.bazel").write_text(mistake.build.replace("{attribute}", mistake.attribute))
    workspace = Workspace(folder, output_user_root() or tmp_path_factory.getbasetemp())
    yield workspace
    workspace.bazel("shutdown")


@pytest.fixture(scope="module")
def said(module: Workspace) -> str:
    """What Bazel prints for all mistakes."""
    _, output = module.bazel("query", *PLAIN_OUTPUT, *MODULE_FLAGS, "--keep_going", "//...")
    return output


@pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if mistake.message])
def test_mistake(said: str, name: str) -> None:
    assert f"Error in fail: //{name}:disk: {MISTAKES[name].message}" in said, said


@pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if not mistake.message])
def test_accepted(said: str, name: str) -> None:
    assert f"\n//{name}:disk\n" in said, said
    assert f"/{name}/BUILD.bazel" not in said, said


def test_the_keys_of_a_system_check_the_key_that_signs(module: Workspace) -> None:
    status, declared = module.bazel("query", *PLAIN_OUTPUT, *MODULE_FLAGS, "--output=build", "//signed:disk.update")
    assert status == 0, declared
    assert 'signing_key = "//signed:private.pem"' in declared
    assert 'public_keys = ["//signed:key.pem"]' in declared


def test_the_units_of_a_system_are_checked(module: Workspace) -> None:
    status, declared = module.bazel("query", *PLAIN_OUTPUT, *MODULE_FLAGS, "--output=build", "//signed:disk.tree")
    assert status == 0, declared
    assert "check_units = True" in declared
    assert 'required_units = {"//signed:disk: healthy": ["multi-user.target"]}' in declared


def test_a_partition_whose_image_is_none_has_an_empty_one(module: Workspace) -> None:
    status, output = module.bazel("query", *PLAIN_OUTPUT, *MODULE_FLAGS, "//image_that_is_none:disk.extra.logs")
    assert status == 0, output


@pytest.mark.parametrize(
    ("target", "attribute"),
    [("root-fs", "root_files_size"), ("boot", "boot_size"), ("esp", "esp_size"), ("data", "data_size")],
)
def test_messages_name_the_size_of_a_system(module: Workspace, target: str, attribute: str) -> None:
    """If files don't fit, the message is about what was set, and not about what the macro made of it."""
    label = f"//signed:disk.{target}"
    status, declared = module.bazel("query", *PLAIN_OUTPUT, *MODULE_FLAGS, "--output=build", label)
    assert status == 0, declared
    assert f'size_attribute = "//signed:disk: {attribute}"' in declared


def test_a_check_fails_without_its_program(module: Workspace) -> None:
    """Unless the test says that it is skipped then."""
    declared = {}
    for name in ("number_of_a_partition", "without_program"):
        status, declared[name] = module.bazel("query", *PLAIN_OUTPUT, *MODULE_FLAGS, "--output=build", f"//{name}:disk")
        assert status == 0, declared[name]
    assert '"ICOS_REQUIRE_ORACLES": "1"' in declared["number_of_a_partition"]
    assert '"ICOS_REQUIRE_ORACLES"' not in declared["without_program"]
