"""The rule boot_args."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:json_spec.bzl", "command_args")
load("//defs/private:verity_info.bzl", "VerityInfo")

KERNEL_ARGUMENT_ATTRS = {
    "args": attr.string_list(doc = "Arguments of the kernel command line."),
    "hash_offset_argument": attr.string(
        default = "verity.hash_offset",
        doc = "Name of the argument with the offset of the hash tree in the root partition, in bytes.",
    ),
    "root": attr.label(
        doc = "The root partition, whose root hash and offset of the hash tree become arguments.",
        providers = [VerityInfo],
    ),
    "root_hash_argument": attr.string(
        default = "verity.root_hash",
        doc = "Name of the argument with the root hash.",
    ),
    "srcs": attr.label_list(
        allow_files = True,
        doc = "Files with arguments, separated by white space; `#` starts a comment.",
    ),
}

def kernel_arguments(ctx):
    """Returns a dict of flags by which a command gets the arguments of the kernel command line, and the files that they name.

    Args:
        ctx: of a rule with KERNEL_ARGUMENT_ATTRS.
    """
    verity = ctx.attr.root[VerityInfo] if ctx.attr.root else None
    flags = {"input": ctx.files.srcs, "word": ctx.attr.args}
    if verity:
        flags |= {
            "root_hash_argument": ctx.attr.root_hash_argument,
            "root_hash_file": verity.root_hash,
            "word": ctx.attr.args + [ctx.attr.hash_offset_argument + "=%d" % verity.hash_offset],
        }
    return flags, ctx.files.srcs + ([verity.root_hash] if verity else [])

def _boot_args_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    flags, inputs = kernel_arguments(ctx)
    args = command_args(ctx, output = output, **flags)
    command_action(ctx, "BootArgs", ctx.executable._boot_args, args, inputs, [output], "Writing %{output}")
    return [DefaultInfo(files = depset([output]))]

boot_args = rule(
    implementation = _boot_args_impl,
    doc = """A GRUB environment block whose variable `extra_boot_args` has arguments for the kernel command line.

GRUB reads it by `load_env --file PATH extra_boot_args`, which does not evaluate the value.""",
    attrs = KERNEL_ARGUMENT_ATTRS | {
        "_boot_args": attr.label(default = "//tools/commands:boot_args", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
