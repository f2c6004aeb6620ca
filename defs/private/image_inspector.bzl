"""The macro image_inspector: a target whose `bazel run` shows what is inside an image."""

load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:image_layers.bzl", "IMAGE_LAYERS_ATTRS", "image_layers")
load("//defs/private:image_report.bzl", "image_of")
load("//tools:python.bzl", "py_binary")

def _inspected_image_impl(ctx):
    spec = ctx.actions.declare_file(ctx.label.name + ".json")
    image, layers = image_of(ctx.attr.image), image_layers(ctx, ctx.attr.image)
    values = {"image": image, "layers": layers}
    ctx.actions.write(spec, json.encode({key: "runfile:" + file.short_path for key, file in values.items()}) + "\n")
    return [DefaultInfo(files = depset([spec]), runfiles = ctx.runfiles([image, layers]))]

_inspected_image = rule(
    implementation = _inspected_image_impl,
    doc = "A JSON file with the paths of an image and of the list of its layers in runfiles, for the command image_inspect.",
    attrs = IMAGE_LAYERS_ATTRS | {
        "image": attr.label(allow_files = True, doc = "See image_inspector.", mandatory = True),
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
