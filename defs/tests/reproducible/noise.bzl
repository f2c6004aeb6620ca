"""A rule for files that are not reproducible, each for another reason."""

_COMMANDS = {
    "chance": "cat /proc/sys/kernel/random/uuid",
    "environment": "echo time zone ${TZ:-of the machine}",
    "path": "echo \"$1\"",
}

def _noise_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run_shell(
        arguments = [output.path],
        command = "%s > \"$1\"" % _COMMANDS[ctx.attr.cause],
        mnemonic = "Noise",
        outputs = [output],
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([output]))]

noise = rule(
    implementation = _noise_impl,
    doc = "A file whose content depends on something that a build must not depend on.",
    attrs = {"cause": attr.string(mandatory = True, values = _COMMANDS.keys())},
)
