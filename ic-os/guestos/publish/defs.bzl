"""The program that publishes a build, with the files of the build."""

load("//tools:python.bzl", "py_binary")

def release_images(prod):
    """Returns the images of a release as pairs, of a flag of the program and a label.

    Args:
        prod: label of an image of prod, with `{image}` and `{codec}` in it.
    """
    dev = "//ic-os/guestos/dev:{image}-img.tar.{codec}"
    return [
        (image + flag, label.format(codec = codec, image = image))
        for flag, label in (("_img", prod), ("_img_dev", dev))
        for image in ("disk", "update")
        for codec in ("gz", "zst")
    ]

def publish_args(executables, images):
    """Returns the arguments of the program that name the files, for `bazel run` and for tests that start it so.

    Args:
        executables: the folder with them in the runfiles.
        images: list of pairs, of a flag of the program and the label of a file.

    Returns:
        A list of strings, with `$(rootpath …)` in them.
    """
    return ["--binaries=runfile:" + executables] + ["--%s=runfile:$(rootpath %s)" % image for image in images]

def publish_binary(name, executables, data, images, **kwargs):
    """Declares a program that publishes executables and images.

    Args:
        name: of the target.
        executables: the folder with them in the runfiles.
        data: the executables, as labels.
        images: list of pairs, of a flag of the program and the label of a file.
        **kwargs: further attributes of py_binary.
    """
    py_binary(
        name = name,
        srcs = ["//ic-os/guestos/tools:guestos_tools/publish.py"],
        args = publish_args(executables, images),
        data = data + [label for _, label in images],
        main = "//ic-os/guestos/tools:guestos_tools/publish.py",
        deps = ["//ic-os/guestos/tools:publish"],
        **kwargs
    )
