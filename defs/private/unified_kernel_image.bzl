"""The rule unified_kernel_image."""

load("//defs/private:boot_args.bzl", "KERNEL_ARGUMENT_ATTRS", "kernel_arguments")
load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:json_spec.bzl", "command_args")
load("//defs/private:pcr_signature.bzl", "PCR_SIGNATURE_ATTRS", "with_pcr_signatures")
load("//defs/private:secure_boot.bzl", "SECURE_BOOT_ATTRS", "signed_program")

def _parts(ctx, output):
    """Declares the action that puts the image together, without signatures."""
    flags, inputs = kernel_arguments(ctx)
    args = command_args(
        ctx,
        initrd = ctx.file.initrd,
        kernel = ctx.file.kernel,
        min_stub_version = ctx.attr.min_stub_version or None,
        os_release = ctx.file.os_release,
        output = output,
        pcr_public_key = ctx.file.pcr_public_key,
        sbat = ctx.files.sbat,
        stub = ctx.file.stub,
        **flags
    )
    inputs = inputs + [ctx.file.initrd, ctx.file.kernel, ctx.file.os_release, ctx.file.stub] + ctx.files.pcr_public_key + ctx.files.sbat
    command_action(ctx, "UnifiedKernelImage", ctx.executable._unified_kernel_image, args, inputs, [output])

def _unsigned(ctx, output):
    return with_pcr_signatures(ctx, output, _parts)

def _unified_kernel_image_impl(ctx):
    return signed_program(ctx, _unsigned)

unified_kernel_image = rule(
    implementation = _unified_kernel_image_impl,
    doc = """A unified kernel image, `NAME.efi`: kernel, initramfs, command line and os-release in one PE file, which firmware starts.

It is for x86-64 or 64-bit Arm, as its kernel and stub are. Firmware starts it as `EFI/BOOT/BOOTX64.EFI` or
`EFI/BOOT/BOOTAA64.EFI` of the EFI system partition.

With `secure_boot_key` it is signed for UEFI Secure Boot, and the signature covers all of them. If the private key must not
be on the build machine, sign elsewhere: the output group `to_sign` is the file to sign, and `secure_boot_signature` takes
what `openssl dgst -sha256 -sign KEY.pem -out SIGNATURE NAME.to_sign`, or a hardware module, makes of it.

With `pcr_key` and `pcr_public_key` it also has signatures of the values of PCR 11 that it leads to in a TPM 2, in the bank of
SHA-256, as `systemd-measure sign` makes them. A key of a disk that is sealed to the public key, by
`systemd-cryptenroll --tpm2-device=auto --tpm2-public-key=PUBLIC.pem --tpm2-public-key-pcrs=11`, opens under images with
signatures by the private key, so after upgrades, too, and under no other system. They can be made elsewhere, too: each file of
the output group `pcr_to_sign`, `NAME.pcr_to_sign.NUMBER`, is signed in the same way, and `pcr_signatures` takes the results.
The signature for Secure Boot covers them, so it is made last.""",
    attrs = KERNEL_ARGUMENT_ATTRS | SECURE_BOOT_ATTRS | PCR_SIGNATURE_ATTRS | {
        "initrd": attr.label(allow_single_file = True, doc = "The initramfs.", mandatory = True),
        "kernel": attr.label(allow_single_file = True, doc = "The kernel: a bzImage for x86-64, or an uncompressed Image for 64-bit Arm.", mandatory = True),
        "min_stub_version": attr.int(
            doc = """The lowest version of systemd that the stub may be of, such as `257`; 0 takes any stub.

            The initramfs may rely on what older stubs don't tell it, such as the partition that the image was loaded from,
            which a stub of 257 and later writes to `StubDevicePartUUID` (systemd-stub(7)).""",
        ),
        "os_release": attr.label(
            allow_single_file = True,
            doc = "An os-release file, which names the system for boot loaders.",
            mandatory = True,
        ),
        "sbat": attr.label_list(
            allow_files = True,
            doc = "Files with lines of SBAT, which name the generation of the product, in addition to those of the stub.",
        ),
        "stub": attr.label(
            allow_single_file = True,
            doc = "systemd's stub, `linuxx64.efi.stub` of Debian's package systemd-boot-efi; for 64-bit Arm " +
                  "`linuxaa64.efi.stub`.",
            mandatory = True,
        ),
        "_unified_kernel_image": attr.label(default = "//tools/commands:unified_kernel_image", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
