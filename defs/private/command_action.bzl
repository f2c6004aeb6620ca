"""How actions call a command of tools/commands."""

load("//defs/private:json_spec.bzl", "json_spec")

_MANY_INPUTS = 100

# Execution requirements of a command that Bazel may keep running between actions. It gets its arguments in one file, from
# json_spec.bzl.
_WORKER_REQUIREMENTS = {
    "requires-worker-protocol": "json",
    "supports-path-mapping": "1",
    "supports-workers": "1",
}

# Those of a command that starts programs of the image, reads private keys, which a worker then had in memory, or runs rarely.
PROCESS_REQUIREMENTS = {"supports-path-mapping": "1"}

# Those of a command that signs. A private key must not be sent to other machines.
SIGNING_REQUIREMENTS = PROCESS_REQUIREMENTS | {"no-remote-exec": "1"}

def worker_requirements(mnemonic, inputs):
    """Returns the execution requirements of a command that Bazel may keep running, for an action that may have many inputs.

    Before each request, Bazel links the inputs into the folder of the worker, and removes those of the last request. So
    actions with many inputs, which are those of images of a root tree, have workers of their own: their inputs stay.

    Args:
        mnemonic: of the action.
        inputs: list of the action's Files.
    """
    if len(inputs) < _MANY_INPUTS:
        return _WORKER_REQUIREMENTS

    # https://bazel.build/remote/creating
    return _WORKER_REQUIREMENTS | {"worker-key-mnemonic": mnemonic + "OfManyFiles"}

def command_action(
        ctx,
        mnemonic,
        executable,
        arguments,
        inputs,
        outputs,
        message = "Building %{output}",
        requirements = None,
        resources = None):
    """Declares the action that a command of tools/commands does.

    Args:
        ctx: of the rule.
        mnemonic: of the action.
        executable: the command.
        arguments: Args, such as those of `command_args`, or a dict for `json_spec`.
        inputs: list or depset of Files. For a list of many, see `worker_requirements`.
        outputs: list of Files.
        message: what Bazel shows while the action runs.
        requirements: for its execution; by default Bazel may keep the command running.
        resources: function for what Bazel reserves for the action; by default what it reserves for any.
    """
    ctx.actions.run(
        arguments = [json_spec(ctx, arguments) if type(arguments) == "dict" else arguments],
        executable = executable,
        execution_requirements = requirements or worker_requirements(mnemonic, inputs if type(inputs) == "list" else []),
        inputs = inputs,
        mnemonic = mnemonic,
        outputs = outputs,
        progress_message = message,
        resource_set = resources,
    )
