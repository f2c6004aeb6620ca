"""The rules debian_data and debian_file: what packages hold, without installing them."""

load("//defs/private:debian_providers.bzl", "DebianPackagesInfo")

def _extract(ctx, output, selection):
    """Declares the action that reads packages.

    Args:
        ctx: of the rule.
        output: the file to write.
        selection: arguments that say what to take.
    """
    debs = [info.deb for info in ctx.attr.src[DebianPackagesInfo].packages]
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    args.add_all(debs, format_each = "--deb=%s")
    args.add_all(ctx.attr.packages, format_each = "--package=%s")
    args.add_all(selection)
    args.add(output, format = "--output=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._debian_data,
        execution_requirements = {"supports-path-mapping": "1"},
        inputs = debs,
        mnemonic = "DebianData",
        outputs = [output],
        progress_message = "Unpacking %{output}",
    )

_ATTRS = {
    "packages": attr.string_list(
        doc = "Patterns of names of the packages of `src` to read, such as `linux-image-[0-9]*`; by default, all. One " +
              "that matches no package is an error.",
    ),
    "src": attr.label(mandatory = True, providers = [DebianPackagesInfo], doc = "A package, or a set of them."),
    "_debian_data": attr.label(default = "//tools/commands:debian_data", executable = True, cfg = "exec"),
}

def _debian_data_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".tar")
    _extract(ctx, output, ["--path=" + path for path in ctx.attr.paths])
    return [DefaultInfo(files = depset([output]))]

debian_data = rule(
    implementation = _debian_data_impl,
    doc = "The files of packages as one tar, with owners, modes and times as packaged; no maintainer script is run.",
    attrs = _ATTRS | {
        "paths": attr.string_list(
            doc = "Patterns of paths to take, without a leading slash; `*` matches slashes too. The directories above " +
                  "come along. By default, all is taken. A pattern that matches nothing is an error.",
        ),
    },
)

def _debian_file_impl(ctx):
    output = ctx.actions.declare_file(ctx.attr.out or ctx.label.name)
    _extract(ctx, output, ["--file=" + ctx.attr.path])
    return [DefaultInfo(files = depset([output]))]

debian_file = rule(
    implementation = _debian_file_impl,
    doc = "One file of a package, such as a boot loader.",
    attrs = _ATTRS | {
        "out": attr.string(doc = "Name of the output; by default, the target's."),
        "path": attr.string(
            mandatory = True,
            doc = "Pattern of the file's path, without a leading slash. Anything but one match is an error.",
        ),
    },
)
