"""Images of disks, files of virtual disks, update images, and checksums.

An example. From [examples/data-disk/BUILD.bazel](../../examples/data-disk/BUILD.bazel):

```starlark
disk_image(
    name = "disk",
    disk_guid = "8d3f0a52-1c9e-4c41-9a38-6d0f2e1b7a00",
    layout = "partitions.csv",
    partitions = {
        "data": ":data",
        "exchange": ":exchange",
    },
)
```

The same disk for QEMU, Hyper-V or VMware. From [examples/data-disk/BUILD.bazel](../../examples/data-disk/BUILD.bazel):

```starlark
[
    virtual_disk(
        name = "disk." + format,
        src = ":disk",
    )
    for format in [
        "qcow2",
        "vhdx",
        "vmdk",
    ]
]
```

As an ISO image, for a CD-ROM or a USB stick. From [tests/e2e/consumer/BUILD.bazel](../../tests/e2e/consumer/BUILD.bazel):

```starlark
# For a USB stick or a CD-ROM, with the same bytes.
virtual_disk(
    name = "medium.iso",
    src = ":disk",
    label = "CONSUMER",
)
```

From [tests/e2e/consumer/BUILD.bazel](../../tests/e2e/consumer/BUILD.bazel):

```starlark
# UUIDs by which systemd finds a file system and its hash tree, if it is told the root hash.
discoverable_layout(
    name = "discoverable",
    layout = "partitions.csv",
    root_hashes = {":application_hashes": "application application-verity"},
)

upgrade_image(
    name = "upgrade",
    boot_partition = ":boot",
    disk_guid = _UUID,
    layout = "partitions.csv",
    product = "consumer",
    root_partition = ":root",
    signing_key = "test-only.key.pem",
    variant = "test",
    version_file = "version.txt",
)
```
"""

load("//defs/private:attributes.bzl", "check_types", "macro_label")
load("//defs/private:discoverable_layout.bzl", _discoverable_layout = "discoverable_layout")
load("//defs/private:disk_image.bzl", _disk_image = "disk_image")
load("//defs/private:disk_image_info.bzl", _DiskImageInfo = "DiskImageInfo")
load("//defs/private:image_inspector.bzl", "image_inspector")
load("//defs/private:sha256.bzl", _sha256 = "sha256")
load("//defs/private:upgrade_image.bzl", _upgrade_image = "upgrade_image")
load("//defs/private:upgrade_image_info.bzl", _UpgradeImageInfo = "UpgradeImageInfo")
load("//defs/private:virtual_disk.bzl", _virtual_disk = "virtual_disk")

DiskImageInfo = _DiskImageInfo
UpgradeImageInfo = _UpgradeImageInfo
discoverable_layout = _discoverable_layout
sha256 = _sha256
virtual_disk = _virtual_disk

def _outputs(name):
    outputs = {"gz": name + ".tar.gz", "tar": name + ".tar", "zst": name + ".tar.zst"}
    return outputs | {format + "_sha256": output + ".sha256" for format, output in outputs.items()}

def _is_label(key):
    return type(key) != "string" or key.startswith(":") or "//" in key

def _names_by_image(partitions, where):
    """Returns a dict of images to the names of their partitions, from either form of `partitions`."""
    check_types(where, "dict", {"partitions": partitions})
    if type(partitions) == "select" or any([_is_label(key) for key in partitions]):
        return partitions
    names = {}
    for partition, image in partitions.items():
        if type(image) not in ("string", "Label"):
            fail("%s: partitions: %s: %r is of type %s; give the label of one image" % (where, partition, image, type(image)))
        names.setdefault(image, []).append(partition)
    return {image: " ".join(partitions) for image, partitions in names.items()}

def disk_image(name, partitions = {}, visibility = None, tags = None, testonly = None, **kwargs):
    """Declares the image of a disk as a tar, plain and compressed by gzip and zstd, and a checksum of each.

    Targets: `NAME` for all formats; `NAME.tar`, `NAME.tar.gz` and `NAME.tar.zst` for one format each; and for each of
    these a checksum, such as `NAME.tar.sha256`, which the same action writes. `bazel run :NAME.inspect` shows what is inside;
    see image_inspector. Output groups of NAME: `raw` has the disk as
    a raw file, `NAME.raw`, whose holes are zeros to Bazel, which hashes and caches them; `zst` and `gz` have one format
    each; `mtree` has a list of files, in the form of mtree(5), for each partition that has files, and `sbom` bills of
    materials.

    Args:
        name: of the target.
        partitions: dict of the names of partitions to their images, such as `{"esp": ":esp"}`; other partitions are empty.
            A dict of images to names, `{":esp": "esp"}`, is accepted, too.
        visibility: of all targets.
        tags: of all targets.
        testonly: of all targets.
        **kwargs: further attributes of the rule `disk_image`.
    """
    common = {"tags": tags, "testonly": testonly, "visibility": visibility}
    image_inspector(name = name + ".inspect", image = name, **common)
    _disk_image(name = name, partitions = _names_by_image(partitions, macro_label(name)), **(_outputs(name) | common | kwargs))

def upgrade_image(name, visibility = None, tags = None, testonly = None, **kwargs):
    """Declares an update image as a tar, plain and compressed by gzip and zstd, and a checksum of each.

    Targets: `NAME` for all formats; `NAME.tar`, `NAME.tar.gz` and `NAME.tar.zst` for one format each; and for each of
    these a checksum, such as `NAME.tar.sha256`, which the same action writes. `bazel run :NAME.inspect` shows what is inside;
    see image_inspector.

    Args:
        name: of the target.
        visibility: of all targets.
        tags: of all targets.
        testonly: of all targets.
        **kwargs: attributes of the rule `upgrade_image`.
    """
    common = {"tags": tags, "testonly": testonly, "visibility": visibility}
    image_inspector(name = name + ".inspect", image = name, **common)
    _upgrade_image(name = name, **(_outputs(name) | common | kwargs))
