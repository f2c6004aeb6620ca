"""Tests of images: their content, their file systems, and their reproducibility.

An example. From [examples/data-disk/BUILD.bazel](../../examples/data-disk/BUILD.bazel):

```starlark
[
    filesystem_check_test(
        name = partition + "_check_test",
        image = ":disk.tar",
        partition = partition,
    )
    for partition in [
        "data",
        "exchange",
    ]
]

image_structure_test(
    name = "data_structure_test",
    absent = ["**/*.txt"],
    contains = {"/accounts/2025/users.json": ["grace"]},
    image = ":disk.tar",
    partition = "data",
    present = {
        "/accounts": "type=dir mode=0755 uid=0 gid=0",
        "/accounts/2025/users.json": "type=file mode=0640 uid=1000 gid=1000",
        "/accounts/current": "type=link link=2025",
        "/inbox": "type=dir mode=1777",
    },
)

# bazel run :data_snapshot_test.update
tree_snapshot_test(
    name = "data_snapshot_test",
    src = ":data",
    snapshot = "data.mtree",
)
```
"""

load(
    "//defs/private:image_tests.bzl",
    _filesystem_check_test = "filesystem_check_test",
    _image_structure_test = "image_structure_test",
    _tree_snapshot_test = "tree_snapshot_test",
)
load("//defs/private:reproducible_test.bzl", _reproducible_test = "reproducible_test")

filesystem_check_test = _filesystem_check_test
image_structure_test = _image_structure_test
reproducible_test = _reproducible_test
tree_snapshot_test = _tree_snapshot_test
