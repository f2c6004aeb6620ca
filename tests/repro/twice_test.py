"""Tests that reproducible_test really runs all actions twice, without cache hits in the second build."""

from collections import defaultdict

import pytest

from tests.downstream import MODULE, Workspace, json_values

PACKAGE = """
load("@rules_icos//defs:defs.bzl", "disk_image", "ext4_image", "reproducible_test", "verity_image")

ext4_image(
    name = "file_system",
    extra_files = {"BUILD.bazel": "etc/file"},
    partition_size = "4M",
    uuid = "c8b0a1f2-0000-4000-8000-000000000001",
)

verity_image(
    name = "root",
    src = ":file_system",
    salt = "00",
    uuid = "c8b0a1f2-0000-4000-8000-000000000002",
)

disk_image(
    name = "disk",
    disk_guid = "c8b0a1f2-0000-4000-8000-000000000003",
    layout = "layout.csv",
    partitions = {":root": "root"},
)

reproducible_test(
    name = "reproducible_test",
    src = ":disk",
)
"""
LAYOUT = """\
name,start,size,type,uuid,comment
root,2048,10240,L,c8b0a1f2-0000-4000-8000-000000000003,system
"""
# Flags that maximize sharing of cached results between configurations. Bazel maps paths of sandboxed workers only.
SHARING = ["--experimental_output_paths=strip", "--worker_sandboxing", "--incompatible_strict_action_env"]


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twice")
    found = Workspace(folder / "workspace", folder / "bazel")
    found.folder.mkdir()
    (found.folder / "MODULE.bazel").write_text(MODULE)
    (found.folder / "BUILD.bazel").write_text(PACKAGE)
    (found.folder / "layout.csv").write_text(LAYOUT)
    yield found
    found.bazel("shutdown")


def run(module, target):
    """Builds a target with a disk cache; returns the executed actions by mnemonic."""
    log = module.folder / "log.json"
    cache = module.folder.parent / "cache"
    status, said = module.build(*SHARING, f"--disk_cache={cache}", f"--execution_log_json_file={log}", target)
    assert status == 0, said
    spawns = defaultdict(list)
    for spawn in json_values(log):
        spawns[spawn["mnemonic"]].append(spawn)
    return spawns


def test_each_action_is_run_in_both_builds(module):
    first = run(module, "//:disk")
    made = {"CompressImage", "DiskImage", "DiskLayoutCheck", "Ext4Image", "VerityImage"}
    assert made <= first.keys()
    both = run(module, "//:reproducible_test.builds")
    for mnemonic in made:
        assert len(both[mnemonic]) == len(first[mnemonic]), mnemonic
        assert not any(spawn["cacheHit"] for spawn in both[mnemonic]), mnemonic
        assert {spawn["digest"]["hash"] for spawn in both[mnemonic]}.isdisjoint(
            spawn["digest"]["hash"] for spawn in first[mnemonic]
        )
