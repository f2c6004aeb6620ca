"""How actions call a command of tools/commands."""

# Execution requirements of a command that Bazel may keep running between actions. It gets its arguments in one file, from
# `command_args` or json_spec.bzl. Not for commands that read private keys, which then stayed in memory, or that start
# programs of the image.
WORKER_REQUIREMENTS = {
    "requires-worker-protocol": "json",
    "supports-path-mapping": "1",
    "supports-workers": "1",
}

_MANY_INPUTS = 100

def worker_requirements(mnemonic, inputs):
    """Returns the execution requirements of a command that Bazel may keep running, for an action that may have many inputs.

    Before each request, Bazel links the inputs into the folder of the worker, and removes those of the last request. So
    actions with many inputs, which are those of images of a root tree, have workers of their own: their inputs stay.

    Args:
        mnemonic: of the action.
        inputs: list of the action's Files.
    """
    if len(inputs) < _MANY_INPUTS:
        return WORKER_REQUIREMENTS

    # https://bazel.build/remote/creating
    return WORKER_REQUIREMENTS | {"worker-key-mnemonic": mnemonic + "OfManyFiles"}

def command_args(ctx):
    """Returns empty Args which a command gets in a file, one a line, as persistent workers need it.

    Args:
        ctx: of the rule.
    """
    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("@%s", use_always = True)
    return args
