"""The rule sha256."""

load("//defs/private:command_action.bzl", "WORKER_REQUIREMENTS", "command_args")
load("//defs/private:execution.bzl", "LINUX")

def _sha256_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    args = command_args(ctx)
    args.add(ctx.file.src, format = "--input=%s")
    args.add(output, format = "--output=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._sha256,
        execution_requirements = WORKER_REQUIREMENTS,
        inputs = [ctx.file.src],
        mnemonic = "Sha256",
        outputs = [output],
        progress_message = "Hashing %{input}",
    )
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
