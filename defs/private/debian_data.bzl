"""The rules debian_data and debian_file: files of packages that are not installed."""

load("//defs/private:command_action.bzl", "PROCESS_REQUIREMENTS", "command_action")
load("//defs/private:debian_providers.bzl", "DebianPackagesInfo")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:json_spec.bzl", "command_args")

def _extract(ctx, output, **selection):
    """Declares the action that reads packages; `selection` has the flags that select the files."""
    debs = [info.deb for info in ctx.attr.src[DebianPackagesInfo].packages]
    args = command_args(ctx, deb = debs, output = output, package = ctx.attr.packages, **selection)
    command_action(ctx, "DebianData", ctx.executable._debian_data, args, debs, [output], "Unpacking %{output}", PROCESS_REQUIREMENTS)

_ATTRS = {
    "packages": attr.string_list(
        doc = "Patterns for names of packages in `src` to read, such as `linux-image-[0-9]*`; all by default. A pattern " +
              "that matches no package is an error.",
    ),
    "src": attr.label(mandatory = True, providers = [DebianPackagesInfo], doc = "A package, or a set of them."),
    "_debian_data": attr.label(default = "//tools/commands:debian_data", executable = True, cfg = "exec"),
}

def _debian_data_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".tar")
    _extract(ctx, output, path = ctx.attr.paths)
    return [DefaultInfo(files = depset([output]))]

debian_data = rule(
    implementation = _debian_data_impl,
    doc = "A tar with files of packages, with the owners, modes and times in the packages. No maintainer script runs.",
    attrs = _ATTRS | {
        "paths": attr.string_list(
            doc = "Patterns of paths to include, without a leading slash; `*` matches slashes too. Their parent " +
                  "directories are included. All files by default. A pattern that matches nothing is an error.",
        ),
    },
    exec_compatible_with = LINUX,
)

def _debian_file_impl(ctx):
    output = ctx.actions.declare_file(ctx.attr.out or ctx.label.name)
    _extract(ctx, output, file = ctx.attr.path)
    return [DefaultInfo(files = depset([output]))]

debian_file = rule(
    implementation = _debian_file_impl,
    doc = "One file of a package, such as a boot loader.",
    attrs = _ATTRS | {
        "out": attr.string(doc = "Name of the output; by default, the target's."),
        "path": attr.string(
            mandatory = True,
            doc = "Pattern for the file's path, without a leading slash. It must match exactly one file.",
        ),
    },
    exec_compatible_with = LINUX,
)
