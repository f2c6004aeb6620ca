"""The list of what each target brought into the root trees of an image."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:disk_image_info.bzl", "DiskImageInfo")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:sbom.bzl", "partition_contents")
load("//defs/private:upgrade_image_info.bzl", "UpgradeImageInfo")

IMAGE_LAYERS_ATTRS = {
    "_image_layers": attr.label(default = "//tools/commands:image_layers", executable = True, cfg = "exec"),
}

def _contents_of(target):
    """Returns the root trees of an image by the names of their partitions, `""` for an image that is one tree."""
    for provider in (DiskImageInfo, UpgradeImageInfo):
        if provider in target:
            return target[provider].contents
    return partition_contents(target[PartitionInfo], "") if PartitionInfo in target else {}

def image_layers(ctx, target):
    """Declares the action that lists the layers of an image's paths; returns its output, for --layers of commands.

    Args:
        ctx: of a rule with IMAGE_LAYERS_ATTRS.
        target: a disk_image, an upgrade_image, the image of a partition, or another image, of which nothing is listed.
    """
    contents = _contents_of(target)
    output = ctx.actions.declare_file(ctx.label.name + ".layers.json")
    spec = {"output": output, "parts": [{"name": name, "tree": each.tree} for name, each in contents.items()]}
    inputs = depset(transitive = [each.inputs for each in contents.values()])
    command_action(ctx, "ImageLayers", ctx.executable._image_layers, spec, inputs, [output], "Listing the layers of %{label}")
    return output
