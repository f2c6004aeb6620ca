"""Tests of images: of their content, of changes in it, and of the consistency of file systems."""

load("//defs/private:attributes.bzl", "macro_label")
load("//dev/pytest:pytest_test.bzl", "pytest_test")
load("//tools:python.bzl", "py_binary", "py_test")

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
    doc = "A JSON file with the expected content of an image, for the tool that checks it.",
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
    """Declares a test of the content of an image, which it reads without a mount.

    Args:
        name: of the test.
        image: a file: the image of a partition or of a disk, raw or as the only member of a tar.
        partition: name or number of the partition, if the image is that of a disk.
        present: dict of paths that must exist to their expected metadata, as keywords of mtree(5):
            `type=file mode=0755 uid=0 gid=0`, `size=`, `link=`; and `capabilities=` with what setcap(8) takes,
            or nothing for none. With an empty string the path must only exist.
        absent: patterns of paths that must not exist.
        contains: dict of files to regular expressions, all of which must match the text.
        lacks: dict of files to regular expressions, none of which may match the text.
        size: of the test.
        **kwargs: further attributes of the test, such as `tags` and `visibility`.
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
        args = arguments + (["--partition=%s" % partition] if partition else []),
        data = [image, name + ".spec"],
        main = Label("//tools/commands:image_structure_check.py"),
        deps = [Label("//tools/commands:image_structure_check")],
        **kwargs
    )

def filesystem_check_test(name, image, partition = None, skip_if_missing = False, size = "medium", **kwargs):
    """Declares a test of the consistency of a file system, by e2fsck, fsck.erofs, fsck.fat or unsquashfs.

    The programs are those of the machine (Debian packages e2fsprogs, erofs-utils, dosfstools and squashfs-tools).

    Args:
        name: of the test.
        image: a file: the image of a partition or of a disk, raw or as the only member of a tar.
        partition: name or number of the partition, if the image is that of a disk.
        skip_if_missing: whether the test is skipped if the program is missing; by default it fails.
        size: of the test.
        **kwargs: further attributes of the test, such as `tags` and `visibility`.
    """
    pytest_test(
        name = name,
        size = size,
        srcs = [str(Label("//tools/testing:file_system_check_test.py"))],
        data = [image],
        env = {
            "IMAGE": "$(rootpath %s)" % image,
            "PARTITION": str(partition or ""),
        } | ({} if skip_if_missing else {"ICOS_REQUIRE_ORACLES": "1"}),
        deps = [Label("//tools/testing:file_system_check")],
        **kwargs
    )

def tree_snapshot_test(name, src, snapshot, size = "small", **kwargs):
    """Declares a test that the files of an image are those of a list that was checked in.

    The list is a text in the form of mtree(5): paths, modes, owners, sizes and hashes. A change of it shows in a review what
    a change of packages or rules does to the image. `bazel run :NAME.update` writes the list; without a list the test
    fails.

    Args:
        name: of the test.
        src: the image of a partition with files, such as an ext4_image.
        snapshot: the list, a file of this package, such as `root.mtree`.
        size: of the test.
        **kwargs: further attributes of the test, such as `tags` and `visibility`.
    """
    if type(snapshot) != "string" or ":" in snapshot or snapshot.startswith("/"):
        fail("%s: snapshot: %s is not a file of this package; write its name, such as \"root.mtree\"" %
             (macro_label(name), json.encode(snapshot)))
    common = {"tags": kwargs.get("tags", []), "testonly": True}
    native.filegroup(name = name + ".tree", srcs = [src], output_group = "mtree", **common)
    command, main = "//tools/commands:tree_snapshot_check", Label("//tools/commands:tree_snapshot_check.py")
    tree = "--tree=runfile:$(rootpath :%s.tree)" % name
    py_binary(
        name = name + ".update",
        srcs = [main],
        args = [tree, "--output=workspace:" + "/".join([part for part in [native.package_name(), snapshot] if part])],
        data = [name + ".tree"],
        main = main,
        deps = [Label(command)],
        **common
    )
    found = native.glob([snapshot], allow_empty = True)
    py_test(
        name = name,
        size = size,
        srcs = [main],
        args = [
            tree,
            # Without the list the test fails, and names the command that writes it.
            "--snapshot=runfile:$(rootpath %s)" % snapshot if found else "--snapshot=" + snapshot,
            "'--command=bazel run %s.update'" % macro_label(name),
        ],
        data = found + [name + ".tree"],
        main = main,
        deps = [Label(command)],
        **kwargs
    )
