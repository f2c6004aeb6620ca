"""Tests of images: what they hold, and whether file systems are sound."""

load("@rules_python//python:py_test.bzl", "py_test")
load("//dev/pytest:pytest_test.bzl", "pytest_test")

def _structure_spec_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(output, json.encode_indent({
        "absent": ctx.attr.absent,
        "contains": ctx.attr.contains,
        "lacks": ctx.attr.lacks,
        "present": ctx.attr.present,
    }))
    return [DefaultInfo(files = depset([output]))]

_structure_spec = rule(
    implementation = _structure_spec_impl,
    doc = "What an image should hold, as a file for the tool that checks it.",
    attrs = {
        "absent": attr.string_list(doc = "See image_structure_test."),
        "contains": attr.string_list_dict(doc = "See image_structure_test."),
        "lacks": attr.string_list_dict(doc = "See image_structure_test."),
        "present": attr.string_dict(doc = "See image_structure_test."),
    },
)

def image_structure_test(
        name,
        image,
        partition = None,
        present = {},
        absent = [],
        contains = {},
        lacks = {},
        size = "small",
        **kwargs):
    """Checks what an image holds, without mounting it.

    Args:
        name: of the test.
        image: one file: the image of a partition or of a disk, raw or as a tar whose one member it is.
        partition: of a disk, by name or number.
        present: paths that must be there, to what they are in keywords of mtree(5), such as
            `type=file mode=0755 uid=0 gid=0`; also `size=` and `link=`. An empty string asks for no more than the path.
        absent: patterns of paths that must not be there.
        contains: files to regular expressions, each of which their text has to match.
        lacks: files to regular expressions, none of which their text may match.
        size: of the test.
        **kwargs: passed on to the test: tags, visibility and so on.
    """
    tags = kwargs.get("tags", [])
    _structure_spec(
        name = name + ".spec",
        testonly = True,
        absent = absent,
        contains = contains,
        lacks = lacks,
        present = present,
        tags = tags,
    )
    arguments = ["--spec=runfile:$(rootpath :%s.spec)" % name, "--image=runfile:$(rootpath %s)" % image]
    py_test(
        name = name,
        size = size,
        srcs = [str(Label("//tools/commands:image_structure_check.py"))],
        args = arguments + (["--partition=" + partition] if partition else []),
        data = [image, name + ".spec"],
        main = Label("//tools/commands:image_structure_check.py"),
        deps = [Label("//tools/commands:image_structure_check")],
        **kwargs
    )

def filesystem_check_test(name, image, partition = None, size = "medium", **kwargs):
    """Checks that a file system is sound, with e2fsck or fsck.fat.

    Without these programs (Debian's packages e2fsprogs and dosfstools) the test is skipped, and says so.

    Args:
        name: of the test.
        image: one file: the image of a partition or of a disk, raw or as a tar whose one member it is.
        partition: of a disk, by name or number.
        size: of the test.
        **kwargs: passed on to the test: tags, visibility and so on.
    """
    pytest_test(
        name = name,
        size = size,
        srcs = [str(Label("//tools/testing:file_system_check_test.py"))],
        data = [image],
        env = {"IMAGE": "$(rootpath %s)" % image, "PARTITION": partition or ""},
        deps = [Label("//tools/testing:file_system_check")],
        **kwargs
    )
