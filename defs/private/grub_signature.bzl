"""The rule grub_signature."""

load("//defs/private:command_action.bzl", "PROCESS_REQUIREMENTS", "SIGNING_REQUIREMENTS", "command_action")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:json_spec.bzl", "command_args")

def _grub_signature_impl(ctx):
    if bool(ctx.file.key) == bool(ctx.file.signature):
        fail("%s: key, signature: exclude each other; give one of them" % ctx.label)
    output = ctx.actions.declare_file(ctx.label.name + ".sig")
    args = command_args(
        ctx,
        certificate = ctx.file.certificate,
        file = ctx.file.src,
        key = ctx.file.key,
        output = output,
        signature = ctx.file.signature,
    )
    inputs = ctx.files.src + ctx.files.key + ctx.files.signature + ctx.files.certificate
    command_action(ctx, "GrubSignature", ctx.executable._grub_signature, args, inputs, [output], "Signing %{output}", SIGNING_REQUIREMENTS)
    to_sign = ctx.actions.declare_file(ctx.label.name + ".to_sign")
    args = command_args(ctx, file = ctx.file.src, to_sign_output = to_sign)
    command_action(ctx, "GrubToSign", ctx.executable._grub_signature, args, ctx.files.src, [to_sign], "Writing %{output}", PROCESS_REQUIREMENTS)
    return [
        DefaultInfo(files = depset([output])),
        OutputGroupInfo(to_sign = depset([to_sign])),
    ]

grub_signature = rule(
    implementation = _grub_signature_impl,
    doc = """The signature of a file for GRUB, `NAME.sig`: without it, a `grub_image` with a `certificate` doesn't open the file.

On the disk it is beside the file, with the suffix `.sig`. If the private key must not be on the build machine, sign elsewhere:
the output group `to_sign` is the file to sign, and `signature` takes what
`openssl dgst -sha256 -sign KEY.pem -out SIGNATURE NAME.to_sign`, or a hardware module, makes of it.""",
    attrs = {
        "certificate": attr.label(
            allow_single_file = [".pem"],
            doc = "The certificate of the key, as PEM: `certificate` of the `grub_image`.",
            mandatory = True,
        ),
        "key": attr.label(
            allow_single_file = [".pem"],
            doc = """The private key that signs: RSA with 2048 bits or more, as PEM.

            The action that uses it runs on the local machine, never on a remote executor.""",
        ),
        "signature": attr.label(
            allow_single_file = True,
            doc = "A signature of the output group `to_sign` that was made elsewhere, instead of `key`.",
        ),
        "src": attr.label(
            allow_single_file = True,
            doc = "The file to sign, such as a `unified_kernel_image` with its signature for the firmware.",
            mandatory = True,
        ),
        "_grub_signature": attr.label(default = "//tools/commands:grub_signature", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
