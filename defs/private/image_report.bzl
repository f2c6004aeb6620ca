"""The rule image_report, and the test image_budget_test."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:disk_image_info.bzl", "DiskImageInfo")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:image_layers.bzl", "IMAGE_LAYERS_ATTRS", "image_layers")
load("//defs/private:size.bzl", "parse_size")
load("//defs/private:upgrade_image_info.bzl", "UpgradeImageInfo")
load("//tools:python.bzl", "py_test")

def image_of(target):
    """Returns the one file of a target that has the image.

    Args:
        target: a disk_image, an upgrade_image, or what has one file.
    """
    for provider in (DiskImageInfo, UpgradeImageInfo):
        if provider in target:
            return target[provider].archive
    files = target[DefaultInfo].files.to_list()
    if len(files) != 1:
        fail("%s: has %d files; give one image, raw or in a plain tar" % (target.label, len(files)))
    return files[0]

def _bills_of(target):
    """Returns the CycloneDX documents of a target, which say where packages are from."""
    groups = target[OutputGroupInfo] if OutputGroupInfo in target else None
    bills = groups.sbom.to_list() if groups and hasattr(groups, "sbom") else []
    return [file for file in bills if file.basename.endswith(".cdx.json")]

def _image_report_impl(ctx):
    image, bills = image_of(ctx.attr.image), _bills_of(ctx.attr.image)
    layers = image_layers(ctx, ctx.attr.image)
    outputs = {"html": ctx.outputs.html, "json": ctx.outputs.json}
    spec = outputs | {
        "before": ctx.file.before,
        "image": image,
        "layers": layers,
        "name": str(ctx.attr.image.label).lstrip("@"),
        "sbom": bills,
    }
    inputs = [image, layers] + bills + ctx.files.before
    command_action(ctx, "ImageReport", ctx.executable._image_report, spec, inputs, outputs.values(), "Reporting on %{label}")
    return [
        DefaultInfo(files = depset(outputs.values())),
        OutputGroupInfo(**{group: depset([file]) for group, file in outputs.items()}),
    ]

image_report = rule(
    implementation = _image_report_impl,
    doc = """A report on an image, as a page and as JSON: what takes its space, and what is worth a look.

The page is one HTML file that needs no other file, no network and no scripts. It has the sizes of partitions, packages,
folders and files, and how well they compress; what each target put into root trees, and how much of that is in no package;
files with special rights (setuid, setgid, writable for all, capabilities);
licenses and where packages are from, by the bill of materials of the image; and with `before` the differences to an earlier
build. The JSON has all files, and is what `image_budget_test` and `before` take.""",
    attrs = IMAGE_LAYERS_ATTRS | {
        "before": attr.label(
            allow_single_file = [".json"],
            doc = "The JSON report on an earlier build, to compare it with.",
        ),
        "html": attr.output(doc = "The page.", mandatory = True),
        "image": attr.label(
            allow_files = True,
            doc = "A disk_image, an upgrade_image, the image of a partition, or a file: a raw image, or a plain tar with images.",
            mandatory = True,
        ),
        "json": attr.output(doc = "The report for programs.", mandatory = True),
        "_image_report": attr.label(default = "//tools/commands:image_report", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)

def _budget_spec_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    sizes = {
        subject: parse_size(size, "%s: max_size: %s" % (ctx.label, subject))
        for subject, size in ctx.attr.max_size.items()
    }
    ctx.actions.write(output, json.encode_indent({"max_growth": ctx.attr.max_growth, "max_size": sizes}))
    return [DefaultInfo(files = depset([output]))]

_budget_spec = rule(
    implementation = _budget_spec_impl,
    doc = "A JSON file with budgets, for the tool that checks them.",
    attrs = {
        "max_growth": attr.string_dict(doc = "See image_budget_test."),
        "max_size": attr.string_dict(doc = "See image_budget_test."),
    },
)

def image_budget_test(name, report, max_size = {}, max_growth = {}, before = None, size = "small", **kwargs):
    """Declares a test that an image and its parts are no larger than their budgets.

    A budget is for a subject: `total` (the data of the image, without holes), `compressed`, the name of a partition,
    `package:NAME`, or a path of a file or directory, on a disk after the name of its partition, such as `A_root:/usr/lib`.

    Args:
        name: of the test.
        report: the JSON report on the image: `:NAME.json` of an `image_report`.
        max_size: dict of subjects to the most bytes that they may have, with or without K, M, G or T.
        max_growth: dict of subjects to the most bytes, or a percentage such as `2%`, by which they may be larger than in
            `before`.
        before: the JSON report on the build to compare it with, such as one that was checked in at the last release.
        size: of the test.
        **kwargs: further attributes of the test, such as `tags` and `visibility`.
    """
    _budget_spec(
        name = name + ".spec",
        testonly = True,
        max_growth = max_growth,
        max_size = max_size,
        tags = kwargs.get("tags", []),
    )
    arguments = ["--spec=runfile:$(rootpath :%s.spec)" % name, "--report=runfile:$(rootpath %s)" % report]
    py_test(
        name = name,
        size = size,
        srcs = [str(Label("//tools/commands:image_budget_check.py"))],
        args = arguments + (["--before=runfile:$(rootpath %s)" % before] if before else []),
        data = [name + ".spec", report] + ([before] if before else []),
        main = Label("//tools/commands:image_budget_check.py"),
        deps = [Label("//tools/commands:image_budget_check")],
        **kwargs
    )
