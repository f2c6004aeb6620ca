"""Signatures for UEFI Secure Boot on what a rule builds."""

load("//defs/private:command_action.bzl", "PROCESS_REQUIREMENTS", "SIGNING_REQUIREMENTS", "command_action")
load("//defs/private:json_spec.bzl", "command_args")

SECURE_BOOT_ATTRS = {
    "secure_boot_certificate": attr.label(
        allow_single_file = [".pem"],
        doc = "The certificate of the key that signs, as PEM; the firmware has it, or one that issued it.",
    ),
    "secure_boot_key": attr.label(
        allow_single_file = [".pem"],
        doc = """The private key that signs the image: RSA with 2048 bits or more, as PEM.

        The action that uses it runs on the local machine, never on a remote executor.""",
    ),
    "secure_boot_signature": attr.label(
        allow_single_file = True,
        doc = "A signature of the output group `to_sign` that was made elsewhere, instead of `secure_boot_key`.",
    ),
    "_secure_boot_signature": attr.label(default = "//tools/commands:secure_boot_signature", executable = True, cfg = "exec"),
}

def _to_sign(ctx, unsigned):
    output = ctx.actions.declare_file(ctx.label.name + ".to_sign")
    args = command_args(ctx, file = unsigned, to_sign_output = output)
    command_action(ctx, "SecureBootToSign", ctx.executable._secure_boot_signature, args, [unsigned], [output], "Writing %{output}", PROCESS_REQUIREMENTS)
    return output

def _sign(ctx, unsigned, output):
    """Declares the action that adds the signature."""
    args = command_args(
        ctx,
        certificate = ctx.file.secure_boot_certificate,
        file = unsigned,
        key = ctx.file.secure_boot_key,
        output = output,
        signature = ctx.file.secure_boot_signature,
    )
    inputs = [unsigned] + ctx.files.secure_boot_certificate + ctx.files.secure_boot_key + ctx.files.secure_boot_signature
    command_action(ctx, "SecureBootSignature", ctx.executable._secure_boot_signature, args, inputs, [output], "Signing %{output}", SIGNING_REQUIREMENTS)

def signed_program(ctx, build):
    """Declares NAME.efi, signed if the rule has a key or signature; returns the providers of the rule.

    Args:
        ctx: of a rule with SECURE_BOOT_ATTRS.
        build: function that declares the action for the program without a signature, `build(ctx, output)`, and returns a
            dict of further output groups.
    """
    if ctx.file.secure_boot_key and ctx.file.secure_boot_signature:
        fail("%s: secure_boot_key, secure_boot_signature: exclude each other; give one of them" % ctx.label)
    is_signed = bool(ctx.file.secure_boot_key or ctx.file.secure_boot_signature)
    if is_signed != bool(ctx.file.secure_boot_certificate):
        fail("%s: secure_boot_certificate: belongs to secure_boot_key or secure_boot_signature; give both or none" % ctx.label)
    output = ctx.actions.declare_file(ctx.label.name + ".efi")
    unsigned = ctx.actions.declare_file(ctx.label.name + ".unsigned.efi") if is_signed else output
    groups = build(ctx, unsigned)
    if is_signed:
        _sign(ctx, unsigned, output)
    return [
        DefaultInfo(files = depset([output])),
        OutputGroupInfo(to_sign = depset([_to_sign(ctx, unsigned)]), **groups),
    ]
