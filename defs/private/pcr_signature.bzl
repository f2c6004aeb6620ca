"""Signatures of register 11 of a TPM for unified kernel images."""

load("//defs/private:command_action.bzl", "PROCESS_REQUIREMENTS", "SIGNING_REQUIREMENTS", "command_action")
load("//defs/private:json_spec.bzl", "command_args")

_DEFAULT_PHASES = [
    "enter-initrd",
    "enter-initrd:leave-initrd",
    "enter-initrd:leave-initrd:sysinit",
    "enter-initrd:leave-initrd:sysinit:ready",
]

PCR_SIGNATURE_ATTRS = {
    "pcr_key": attr.label(
        allow_single_file = [".pem"],
        doc = """The private key that signs the values of PCR 11 that the image leads to: RSA with 2048 bits, as PEM.

        Larger keys are accepted, but not by every TPM. The action that uses it runs on the local machine, never on a remote
        executor.""",
    ),
    "pcr_phases": attr.string_list(
        default = _DEFAULT_PHASES,
        doc = """Phases of the boot in which sealed keys open: the words that the system has measured by then, with `:` between
        them; `:` alone is that before any.

        The default has those of a system with systemd in its initramfs (systemd-pcrphase.service(8)). An initramfs of another
        kind measures none, so what it opens itself needs `:`.""",
    ),
    "pcr_public_key": attr.label(
        allow_single_file = [".pem"],
        doc = """The public key of these signatures, as PEM: a TPM seals keys of disks to it.

        `openssl pkey -in KEY.pem -pubout` prints it. It is measured, too.""",
    ),
    "pcr_signatures": attr.label_list(
        allow_files = True,
        doc = """Signatures of the output group `pcr_to_sign` that were made elsewhere, one for each of `pcr_phases` in the same
        order, instead of `pcr_key`.""",
    ),
    "_pcr_signature": attr.label(default = "//tools/commands:pcr_signature", executable = True, cfg = "exec"),
}

def _to_sign(ctx, unsigned):
    outputs = []
    for number, phase in enumerate(ctx.attr.pcr_phases):
        output = ctx.actions.declare_file("%s.pcr_to_sign.%d" % (ctx.label.name, number))
        args = command_args(ctx, file = unsigned, phase = phase, to_sign_output = output)
        command_action(ctx, "PcrToSign", ctx.executable._pcr_signature, args, [unsigned], [output], "Writing %{output}", PROCESS_REQUIREMENTS)
        outputs.append(output)
    return outputs

def _sign(ctx, unsigned, output):
    """Declares the action that adds the signatures."""
    args = command_args(
        ctx,
        file = unsigned,
        key = ctx.file.pcr_key,
        output = output,
        phase = ctx.attr.pcr_phases,
        signature = ctx.files.pcr_signatures,
    )
    inputs = [unsigned] + ctx.files.pcr_signatures + ctx.files.pcr_key
    command_action(ctx, "PcrSignature", ctx.executable._pcr_signature, args, inputs, [output], "Signing %{output}", SIGNING_REQUIREMENTS)

def with_pcr_signatures(ctx, output, build):
    """Declares an image with signatures of PCR 11, or without them if the rule has no key; returns a dict of output groups.

    Args:
        ctx: of a rule with PCR_SIGNATURE_ATTRS.
        output: the image to write.
        build: function that declares the action for the image without them, `build(ctx, output)`; it has to put
            `pcr_public_key` into the image.
    """
    if ctx.file.pcr_key and ctx.files.pcr_signatures:
        fail("%s: pcr_key, pcr_signatures: exclude each other; give one of them" % ctx.label)
    signed = bool(ctx.file.pcr_key or ctx.files.pcr_signatures)
    if signed and not ctx.file.pcr_public_key:
        fail("%s: pcr_public_key: is missing; pcr_key and pcr_signatures need it" % ctx.label)
    unsigned = ctx.actions.declare_file(ctx.label.name + ".without_pcrsig.efi") if signed else output
    build(ctx, unsigned)
    if signed:
        _sign(ctx, unsigned, output)
    return {"pcr_to_sign": depset(_to_sign(ctx, unsigned))} if ctx.file.pcr_public_key else {}
