"""The rule sha256."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:json_spec.bzl", "command_args")

def _sha256_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    args = command_args(ctx, input = ctx.file.src, output = output)
    command_action(ctx, "Sha256", ctx.executable._sha256, args, [ctx.file.src], [output], "Hashing %{input}")
    return [DefaultInfo(files = depset([output]))]

sha256 = rule(
    implementation = _sha256_impl,
    doc = "The SHA-256 of a file, in the format of `sha256sum --check`. The output has the name of the target.",
    attrs = {
        "src": attr.label(allow_single_file = True, doc = "The file.", mandatory = True),
        "_sha256": attr.label(default = "//tools/commands:sha256", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
