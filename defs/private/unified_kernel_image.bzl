"""The rule unified_kernel_image."""

load("//defs/private:boot_args.bzl", "KERNEL_ARGUMENT_ATTRS", "kernel_arguments")
load("//defs/private:command_action.bzl", "WORKER_REQUIREMENTS")
load("//defs/private:execution.bzl", "LINUX")

def _unsigned(ctx, output):
    """Declares the action that puts the image together."""
    args, inputs = kernel_arguments(ctx)
    for name in ("stub", "kernel", "initrd", "os_release"):
        file = getattr(ctx.file, name)
        args.add(file, format = "--" + name + "=%s")
        inputs.append(file)
    args.add_all(ctx.files.sbat, format_each = "--sbat=%s")
    args.add(output, format = "--output=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._unified_kernel_image,
        execution_requirements = WORKER_REQUIREMENTS,
        inputs = inputs + ctx.files.sbat,
        mnemonic = "UnifiedKernelImage",
        outputs = [output],
        progress_message = "Building %{output}",
    )

def _to_sign(ctx, unsigned):
    """Declares the action that writes what a private key signs; it runs only if that is requested."""
    output = ctx.actions.declare_file(ctx.label.name + ".to_sign")
    args = ctx.actions.args()
    args.add(unsigned, format = "--file=%s")
    args.add(output, format = "--to_sign_output=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._secure_boot_signature,
        execution_requirements = {"supports-path-mapping": "1"},
        inputs = [unsigned],
        mnemonic = "SecureBootToSign",
        outputs = [output],
        progress_message = "Writing %{output}",
    )
    return output

def _sign(ctx, unsigned, output):
    """Declares the action that adds the signature."""
    inputs = [unsigned, ctx.file.secure_boot_certificate]
    args = ctx.actions.args()
    args.add(unsigned, format = "--file=%s")
    args.add(ctx.file.secure_boot_certificate, format = "--certificate=%s")
    for flag, file in (("--key=%s", ctx.file.secure_boot_key), ("--signature=%s", ctx.file.secure_boot_signature)):
        if file:
            args.add(file, format = flag)
            inputs.append(file)
    args.add(output, format = "--output=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._secure_boot_signature,
        # A private key must not be sent to other machines.
        execution_requirements = {"no-remote-exec": "1", "supports-path-mapping": "1"},
        inputs = inputs,
        mnemonic = "SecureBootSignature",
        outputs = [output],
        progress_message = "Signing %{output}",
    )

def _unified_kernel_image_impl(ctx):
    if ctx.file.secure_boot_key and ctx.file.secure_boot_signature:
        fail("%s: secure_boot_key, secure_boot_signature: exclude each other; give one of them" % ctx.label)
    is_signed = bool(ctx.file.secure_boot_key or ctx.file.secure_boot_signature)
    if is_signed != bool(ctx.file.secure_boot_certificate):
        fail("%s: secure_boot_certificate: belongs to secure_boot_key or secure_boot_signature; give both or none" % ctx.label)
    output = ctx.actions.declare_file(ctx.label.name + ".efi")
    unsigned = ctx.actions.declare_file(ctx.label.name + ".unsigned.efi") if is_signed else output
    _unsigned(ctx, unsigned)
    if is_signed:
        _sign(ctx, unsigned, output)
    return [
        DefaultInfo(files = depset([output])),
        OutputGroupInfo(to_sign = depset([_to_sign(ctx, unsigned)])),
    ]

unified_kernel_image = rule(
    implementation = _unified_kernel_image_impl,
    doc = """A unified kernel image, `NAME.efi`: kernel, initramfs, command line and os-release in one PE file, which firmware starts.

With `secure_boot_key` it is signed for UEFI Secure Boot, and the signature covers all of them. If the private key must not
be on the build machine, sign elsewhere: the output group `to_sign` is the file to sign, and `secure_boot_signature` takes
what `openssl dgst -sha256 -sign KEY.pem -out SIGNATURE NAME.to_sign`, or a hardware module, makes of it.""",
    attrs = KERNEL_ARGUMENT_ATTRS | {
        "initrd": attr.label(allow_single_file = True, doc = "The initramfs.", mandatory = True),
        "kernel": attr.label(allow_single_file = True, doc = "The kernel (bzImage).", mandatory = True),
        "os_release": attr.label(
            allow_single_file = True,
            doc = "An os-release file, which names the system for boot loaders.",
            mandatory = True,
        ),
        "sbat": attr.label_list(
            allow_files = True,
            doc = "Files with lines of SBAT, which name the generation of the product, in addition to those of the stub.",
        ),
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
        "stub": attr.label(
            allow_single_file = True,
            doc = "systemd's stub, `linuxx64.efi.stub` of Debian's package systemd-boot-efi.",
            mandatory = True,
        ),
        "_secure_boot_signature": attr.label(
            default = "//tools/commands:secure_boot_signature",
            executable = True,
            cfg = "exec",
        ),
        "_unified_kernel_image": attr.label(
            default = "//tools/commands:unified_kernel_image",
            executable = True,
            cfg = "exec",
        ),
    },
    exec_compatible_with = LINUX,
)
