"""The macro for a generated reference."""

load("@rules_pkg//pkg:tar.bzl", "pkg_tar")
load("//dev/pytest:pytest_test.bzl", "pytest_test")
load("//tools:python.bzl", "py_binary")

def _pages_impl(ctx):
    output = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    for flag, targets in (("module", ctx.attr.modules), ("rule", ctx.attr.rules)):
        for target, name in targets.items():
            args.add_all(target[DefaultInfo].files, format_each = "--%s=%s=%%s" % (flag, name))
    args.add(ctx.attr.command, format = "--command=%s")
    args.add_all([output], expand_directories = False, format_each = "--output=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._build_reference,
        execution_requirements = {"supports-path-mapping": "1"},
        inputs = ctx.files.modules + ctx.files.rules,
        mnemonic = "Reference",
        outputs = [output],
        progress_message = "Writing the reference %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

_pages = rule(
    implementation = _pages_impl,
    doc = "Generates the pages of a reference in a directory.",
    attrs = {
        "command": attr.string(doc = "Command that updates the checked-in pages.", mandatory = True),
        "modules": attr.label_keyed_string_dict(
            allow_files = True,
            doc = "Extracted ModuleInfo of each .bzl file, to the name of its page.",
            mandatory = True,
        ),
        "rules": attr.label_keyed_string_dict(
            allow_files = True,
            doc = "Extracted ModuleInfo of each .bzl file with the rule of a macro, to the name of both.",
        ),
        "_build_reference": attr.label(default = "//dev/reference:build_reference", executable = True, cfg = "exec"),
    },
)

def _extracted(file):
    """Returns the name of the target that extracts the ModuleInfo of a .bzl file."""
    return "extracted/" + file.removeprefix("//").replace(":", "/")

def _module(file):
    """Returns the label of the extracted ModuleInfo of a .bzl file, in text format."""
    return ":%s.textproto" % _extracted(file)

def _paths(labels):
    return " ".join(["$(rootpath %s)" % label for label in labels])

def reference(name, topics, whole, public, others = {}, rules = {}, deps = []):
    """Declares targets that generate pages for .bzl files, write them into this package (`update`), and test them.

    `docs` is an archive of what the pages are generated from, the ModuleInfo of each file.

    See https://bazel.build/reference/be/general#starlark_doc_extract for the docstrings.

    Args:
        name: name of the target with the generated pages.
        topics: by the name of a page, without suffix, its .bzl file.
        whole: the .bzl file that exports all symbols of the topics.
        public: label of the .bzl files that must have a page.
        others: like `topics`, for files whose symbols `whole` doesn't export.
        rules: by the name of a macro, the .bzl file with the rule of the same name that it calls, and whose attributes
            it accepts.
        deps: libraries with all files that these load.
    """
    folder = native.package_name()
    command = "bazel run //%s:update" % folder
    pages = topics | others
    for file in sorted(pages.values() + rules.values() + [whole]):
        native.starlark_doc_extract(name = _extracted(file), src = file, deps = deps)

    # For the registry, which shows the reference of a release.
    pkg_tar(
        name = "docs",
        srcs = [":" + _extracted(file) for file in topics.values() + others.values()],
        extension = "tar.gz",
        visibility = ["//dev/release:__pkg__"],
    )
    _pages(
        name = name,
        command = command,
        modules = {_module(file): page for page, file in pages.items()},
        rules = {_module(file): macro for macro, file in rules.items()},
    )
    py_binary(
        name = "update",
        srcs = [str(Label("//dev/reference:update_reference.py"))],
        args = ["--built=runfile:$(rootpath :%s)" % name, "--folder=workspace:" + folder],
        data = [":" + name],
        main = Label("//dev/reference:update_reference.py"),
        deps = [Label("//dev/reference:update_reference")],
    )
    modules = [_module(file) for file in pages.values() + rules.values()]
    pytest_test(
        name = "current_test",
        size = "small",
        srcs = [str(Label("//dev/reference:current_test.py"))],
        data = [":" + name, public, _module(whole)] + modules + native.glob(["*.md"], allow_empty = True),
        env = {
            "BUILT": "$(rootpath :%s)" % name,
            "CHECKED_IN": folder,
            "COMMAND": command,
            "MODULES": _paths(modules),
            "PUBLIC": "$(rootpaths %s)" % public,
            "TOPICS": _paths([_module(file) for file in topics.values()]),
            "WHOLE": _paths([_module(whole)]),
        },
        deps = [Label("//dev/reference:markdown")],
    )
