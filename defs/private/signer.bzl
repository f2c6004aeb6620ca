"""A signature by a private key, or one that was made elsewhere, with the key's certificate."""

load("//defs/private:command_action.bzl", "PROCESS_REQUIREMENTS", "SIGNING_REQUIREMENTS", "command_action")
load("//defs/private:json_spec.bzl", "command_args")

SIGNER_ATTRS = {
    "key": attr.label(
        allow_single_file = [".pem"],
        doc = """The private key that signs: RSA with 2048 bits or more, as PEM.

            The action that uses it runs on the local machine, never on a remote executor.""",
    ),
    "signature": attr.label(
        allow_single_file = True,
        doc = "A signature of the output group `to_sign` that was made elsewhere, instead of `key`.",
    ),
}

def sign(ctx, mnemonic, to_sign_mnemonic, executable, signed, output, **flags):
    """Declares the actions that write what has the signature, and what to sign elsewhere; returns the File of the latter.

    The second action runs only if its output is requested.

    Args:
        ctx: of a rule with SIGNER_ATTRS and `certificate`.
        mnemonic: of the action that signs.
        to_sign_mnemonic: of the other action.
        executable: the command.
        signed: dict of one flag of the command to the File that says what is signed.
        output: File to write.
        **flags: further flags of the command that signs.
    """
    if bool(ctx.file.key) == bool(ctx.file.signature):
        fail("%s: key, signature: exclude each other; give one of them" % ctx.label)
    signer = {"certificate": ctx.file.certificate, "key": ctx.file.key, "signature": ctx.file.signature}
    args = command_args(ctx, output = output, **(signed | signer | flags))
    inputs = signed.values() + [file for file in signer.values() if file]
    command_action(ctx, mnemonic, executable, args, inputs, [output], "Signing %{output}", SIGNING_REQUIREMENTS)
    to_sign = ctx.actions.declare_file(ctx.label.name + ".to_sign")
    args = command_args(ctx, to_sign_output = to_sign, **signed)
    command_action(ctx, to_sign_mnemonic, executable, args, signed.values(), [to_sign], "Writing %{output}", PROCESS_REQUIREMENTS)
    return to_sign
