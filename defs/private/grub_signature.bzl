"""The rule grub_signature."""

load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:signer.bzl", "SIGNER_ATTRS", "sign")

def _grub_signature_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".sig")
    to_sign = sign(ctx, "GrubSignature", "GrubToSign", ctx.executable._grub_signature, {"file": ctx.file.src}, output)
    return [DefaultInfo(files = depset([output])), OutputGroupInfo(to_sign = depset([to_sign]))]

grub_signature = rule(
    implementation = _grub_signature_impl,
    doc = """The signature of a file for GRUB, `NAME.sig`: without it, a `grub_image` with a `certificate` doesn't open the file.

On the disk it is beside the file, with the suffix `.sig`. If the private key must not be on the build machine, sign elsewhere:
the output group `to_sign` is the file to sign, and `signature` takes what
`openssl dgst -sha256 -sign KEY.pem -out SIGNATURE NAME.to_sign`, or a hardware module, makes of it.""",
    attrs = SIGNER_ATTRS | {
        "certificate": attr.label(
            allow_single_file = [".pem"],
            doc = "The certificate of the key, as PEM: `certificate` of the `grub_image`.",
            mandatory = True,
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
