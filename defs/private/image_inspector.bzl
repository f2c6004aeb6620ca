"""The macro image_inspector: a target whose `bazel run` shows what is inside an image."""

load("//defs/private:command_action.bzl", "WORKER_REQUIREMENTS")
load("//defs/private:disk_image_info.bzl", "DiskImageInfo")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:image_report.bzl", "image_of")
load("//defs/private:json_spec.bzl", "json_spec")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:sbom.bzl", "partition_contents")
load("//defs/private:upgrade_image_info.bzl", "UpgradeImageInfo")
load("//tools:python.bzl", "py_binary")

def _contents_of(target):
    """Returns the root trees of an image by the names of their partitions, `""` for an image that is one tree."""
    for provider in (DiskImageInfo, UpgradeImageInfo):
        if provider in target:
            return target[provider].contents
    return partition_contents(target[PartitionInfo], "") if PartitionInfo in target else {}

def _inspected_image_impl(ctx):
    spec = ctx.actions.declare_file(ctx.label.name + ".json")
    layers = ctx.actions.declare_file(ctx.label.name + ".layers.json")
    image, contents = image_of(ctx.attr.image), _contents_of(ctx.attr.image)
    ctx.actions.run(
        arguments = [json_spec(ctx, {
            "output": layers,
            "parts": [{"name": name, "tree": each.tree} for name, each in contents.items()],
        })],
        executable = ctx.executable._image_layers,
        execution_requirements = WORKER_REQUIREMENTS,
        inputs = depset(transitive = [each.inputs for each in contents.values()]),
        mnemonic = "ImageLayers",
        outputs = [layers],
        progress_message = "Listing the layers of %{label}",
    )
    values = {"image": image, "layers": layers}
    ctx.actions.write(spec, json.encode({key: "runfile:" + file.short_path for key, file in values.items()}) + "\n")
    return [DefaultInfo(files = depset([spec]), runfiles = ctx.runfiles([image, layers]))]

_inspected_image = rule(
    implementation = _inspected_image_impl,
    doc = "A JSON file with the paths of an image and of the list of its layers in runfiles, for the command image_inspect.",
    attrs = {
        "image": attr.label(allow_files = True, doc = "See image_inspector.", mandatory = True),
        "_image_layers": attr.label(default = "//tools/commands:image_layers", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)

def image_inspector(name, image, visibility = None, tags = None, testonly = None):
    """Declares a target whose `bazel run` shows what is inside an image, without mounting it.

    What it can do, with `--partition=NAME` for the files of a disk, and `--member=root.img` for those of an update image:

    - `bazel run :NAME -- ls [PATH...]` lists the partitions of a disk, the members of an update image, or files;
    - `bazel run :NAME -- cat PATH...` prints files; `cat --member=manifest.json` the manifest of an update image;
    - `bazel run :NAME -- extract PATH OUTPUT` writes a file, or a directory as a tar; OUTPUT is relative to the current
      folder;
    - `bazel run :NAME -- which PATH...` prints the Debian package that a path is from, and the target that put it into the
      tree.

    A `disk_image` and an `upgrade_image` have such a target, `NAME.inspect`. It is not part of `bazel build //...`, and has no
    action that the image needs.

    Args:
        name: of the target.
        image: a disk_image, an upgrade_image, the image of a partition, or a file: a raw image, or a plain tar with one.
        visibility: of the target.
        tags: of the target; `manual` is added.
        testonly: of the target.
    """
    common = {"tags": (tags or []) + ["manual"], "testonly": testonly}
    _inspected_image(name = name + ".spec", image = image, visibility = ["//visibility:private"], **common)
    py_binary(
        name = name,
        srcs = [str(Label("//tools/commands:image_inspect.py"))],
        args = ["--spec=runfile:$(rootpath :%s.spec)" % name],
        data = [name + ".spec"],
        main = Label("//tools/commands:image_inspect.py"),
        visibility = visibility,
        deps = [Label("//tools/commands:image_inspect")],
        **common
    )
