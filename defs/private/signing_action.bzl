"""The actions of commands that sign: with a private key, or up to what is signed elsewhere."""

def sign_action(ctx, executable, args, inputs, output, mnemonic):
    """Declares the action that writes a signature, or what has one.

    Args:
        ctx: of the rule.
        executable: the command.
        args: its arguments, with the private key or a signature that was made elsewhere.
        inputs: list of Files, the key among them.
        output: File to write.
        mnemonic: of the action.
    """
    ctx.actions.run(
        arguments = [args],
        executable = executable,
        # A private key must not be sent to other machines.
        execution_requirements = {"no-remote-exec": "1", "supports-path-mapping": "1"},
        inputs = inputs,
        mnemonic = mnemonic,
        outputs = [output],
        progress_message = "Signing %{output}",
    )

def to_sign_action(ctx, executable, args, inputs, output, mnemonic):
    """Declares the action that writes what a private key signs; it runs only if that is requested.

    Args:
        ctx: of the rule.
        executable: the command.
        args: its arguments.
        inputs: list of Files, without a key.
        output: File to write.
        mnemonic: of the action.
    """
    ctx.actions.run(
        arguments = [args],
        executable = executable,
        execution_requirements = {"supports-path-mapping": "1"},
        inputs = inputs,
        mnemonic = mnemonic,
        outputs = [output],
        progress_message = "Writing %{output}",
    )
