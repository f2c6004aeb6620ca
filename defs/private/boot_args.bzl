"""The rule boot_args."""

load("//defs/private:command_action.bzl", "WORKER_REQUIREMENTS", "command_args")
load("//defs/private:execution.bzl", "LINUX")
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
    """Returns the Args by which a tool gets the arguments of the kernel command line, and the files that they name.

    Args:
        ctx: of a rule with KERNEL_ARGUMENT_ATTRS.
    """
    args = command_args(ctx)
    inputs = list(ctx.files.srcs)
    args.add_all(ctx.files.srcs, format_each = "--input=%s")
    args.add_all(ctx.attr.args, format_each = "--word=%s")
    if ctx.attr.root:
        verity = ctx.attr.root[VerityInfo]
        inputs.append(verity.root_hash)
        args.add(ctx.attr.hash_offset_argument + "=%d" % verity.hash_offset, format = "--word=%s")
        args.add(verity.root_hash, format = "--root_hash_file=%s")
        args.add(ctx.attr.root_hash_argument, format = "--root_hash_argument=%s")
    return args, inputs

def _boot_args_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    args, inputs = kernel_arguments(ctx)
    args.add(output, format = "--output=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._boot_args,
        execution_requirements = WORKER_REQUIREMENTS,
        inputs = inputs,
        mnemonic = "BootArgs",
        outputs = [output],
        progress_message = "Writing %{output}",
    )
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
