"""The rule disk_image."""

load("//defs/private:archive_outputs.bzl", "ARCHIVE_ATTRS", "part_specs", "write_archives")
load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:disk_image_info.bzl", "DiskImageInfo")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:identifiers.bzl", "check_uuid")
load("//defs/private:image_groups.bzl", "EXPORT_ATTRS", "GROUPS_DOC", "archive_groups", "export_image")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:sbom.bzl", "SBOM_ATTRS", "partition_contents", "sbom_outputs")
load("//defs/private:size.bzl", "SECTOR", "parse_size")

def _check_layout(ctx, common):
    """Declares the validation action, which checks names and sizes of partitions. It needs no image.

    A size that is not known before the image is built is checked by the action that makes the disk.

    https://bazel.build/extending/rules#validation_actions
    """
    output = ctx.actions.declare_file(ctx.label.name + ".checked")
    sizes = [
        {
            "hash_tree": target[PartitionInfo].verity != None,
            "label": str(target.label),
            "name": name,
            "size": target[PartitionInfo].size or 0,
            "size_attribute": getattr(target[PartitionInfo], "size_attribute", None),
        }
        for target, names in ctx.attr.partitions.items()
        for name in names.split(" ")
    ]
    spec = common | {"output": output, "partitions": sizes}
    command_action(ctx, "DiskLayoutCheck", ctx.executable._disk_layout_check, spec, [ctx.file.layout], [output], "Checking the layout of %{label}")
    return output

def _check_partitions(ctx):
    """Fails if something in `partitions` is no image of a partition, or if a partition has two images."""
    images = {}
    for target, names in ctx.attr.partitions.items():
        if PartitionInfo not in target:
            fail("%s: partitions: %s is not the image of a partition; give one, such as an ext4_image, or make a raw_partition of the file" % (ctx.label, target.label))
        for name in names.split(" "):
            if not name:
                fail("%s: partitions: the names of %s are %r; write one, or several with a space between them" % (ctx.label, target.label, names))
            if name in images:
                fail("%s: partitions: %s has two images, %s and %s; leave one out" % (ctx.label, name, images[name], target.label))
            images[name] = target.label

def _disk_image_impl(ctx):
    _check_partitions(ctx)
    common = {
        "disk_guid": check_uuid(ctx.attr.disk_guid, "%s: disk_guid" % ctx.label),
        "layout": ctx.file.layout,
        "without": ctx.attr.without,
    }
    if ctx.attr.expanded_size:
        common["expanded_size"] = parse_size(ctx.attr.expanded_size, "%s: expanded_size" % ctx.label, SECTOR)
    checked = _check_layout(ctx, common)

    def describe(codec):
        # With `checked`, so that a fault is reported once, by the check.
        partitions, inputs = [], [ctx.file.layout, checked]
        for target, names in ctx.attr.partitions.items():
            specs, files = part_specs(target[PartitionInfo], codec)
            partitions += [{"label": str(target.label), "name": name, "parts": specs} for name in names.split(" ")]
            inputs += files
        return common | {"member": ctx.attr.member, "partitions": partitions}, inputs

    outputs, files = write_archives(ctx, ctx.executable._disk_image, "DiskImage", describe)
    contents = {}
    for target, names in ctx.attr.partitions.items():
        for name in names.split(" "):
            contents |= partition_contents(target[PartitionInfo], name)
    return [
        DefaultInfo(files = files),
        DiskImageInfo(
            archive = outputs["tar"],
            compressed = {codec: outputs[codec] for codec in ("zst", "gz")},
            contents = contents,
            layout = ctx.file.layout,
        ),
        OutputGroupInfo(
            _validation = depset([checked]),
            raw = depset([export_image(ctx, ".raw", [struct(image = outputs["tar"], offset = 0)])]),
            **archive_groups(
                outputs,
                [target[PartitionInfo] for target in ctx.attr.partitions],
                sbom_outputs(ctx, contents) if contents else None,
            )
        ),
    ]

disk_image = rule(
    implementation = _disk_image_impl,
    doc = """The image of a disk with a GUID partition table, as a tar whose one member is a sparse file.

Each of the three formats has a label of its own, and is built only if it is requested; the target itself requests all.
The action that writes one also writes its checksum, without reading it again.
The data of a partition is compressed once for each format, also if several images contain it.

""" + GROUPS_DOC + " `mtree` has a list for each partition.",
    attrs = ARCHIVE_ATTRS | EXPORT_ATTRS | SBOM_ATTRS | {
        "disk_guid": attr.string(doc = "GUID of the disk.", mandatory = True),
        "expanded_size": attr.string(
            doc = "Size of the disk, in bytes or with K, M, G or T; by default, the smallest that fits the layout.",
        ),
        "layout": attr.label(
            allow_single_file = [".csv"],
            doc = "The partitions: CSV with the columns name, start, size, type, uuid, comment, in sectors of 512 bytes, or " +
                  "with K, M, G or T.",
            mandatory = True,
        ),
        "member": attr.string(default = "disk.img", doc = "Name of the disk in the tar."),
        "partitions": attr.label_keyed_string_dict(
            # Without providers: the implementation checks for PartitionInfo, and says what to do.
            allow_files = True,
            doc = "Dict of images to the names of the partitions that contain them, separated by spaces. Other " +
                  "partitions are empty.",
        ),
        "without": attr.string_list(doc = "Partitions of the layout that are not in the disk's partition table."),
        "_disk_image": attr.label(default = "//tools/commands:disk_image", executable = True, cfg = "exec"),
        "_disk_layout_check": attr.label(default = "//tools/commands:disk_layout_check", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    provides = [DiskImageInfo],
)
