"""The rule raw_partition."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:compression.bzl", "COMPRESS_ATTRS")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:image_groups.bzl", "EXPORT_ATTRS", "GROUPS_DOC")
load("//defs/private:partition_image.bzl", "partition_providers")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:size.bzl", "SECTOR", "parse_size")

def _raw_partition_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".img.tar")
    size = parse_size(ctx.attr.partition_size, "%s: partition_size" % ctx.label, SECTOR)
    spec = {
        "input": ctx.file.src,
        "member": ctx.label.name + ".img",
        "output": output,
        "size": size,
        "size_attribute": "%s: partition_size" % ctx.label,
    }
    command_action(ctx, "RawPartition", ctx.executable._raw_partition, spec, [ctx.file.src], [output])
    return partition_providers(ctx, output, size)

raw_partition = rule(
    implementation = _raw_partition_impl,
    doc = """A file as it is, as the content of a partition: a file system that another tool made, firmware, a boot loader.

The file is followed by zeros up to `partition_size`. The partition's type is that of its row in the layout.

""" + GROUPS_DOC,
    attrs = COMPRESS_ATTRS | EXPORT_ATTRS | {
        "partition_size": attr.string(
            doc = "Size of the image, in bytes or with K, M, G or T for a power of 1024; a multiple of 512 bytes.",
            mandatory = True,
        ),
        "src": attr.label(allow_single_file = True, doc = "The file.", mandatory = True),
        "_raw_partition": attr.label(default = "//tools/commands:raw_partition", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    provides = [PartitionInfo],
)
