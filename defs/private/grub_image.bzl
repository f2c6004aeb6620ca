"""The rule grub_image."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:debian_providers.bzl", "DebianPackagesInfo")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:json_spec.bzl", "command_args")
load("//defs/private:secure_boot.bzl", "SECURE_BOOT_ATTRS", "signed_program")

def _unsigned(ctx, output):
    """Declares the action that puts the program together; returns no further output groups."""
    debs = [info.deb for info in ctx.attr.src[DebianPackagesInfo].packages]
    args = command_args(
        ctx,
        certificate = ctx.file.certificate,
        config = ctx.files.configs,
        deb = debs,
        module = ctx.attr.modules,
        output = output,
        sbat = ctx.files.sbat,
    )
    inputs = debs + ctx.files.configs + ctx.files.sbat + ctx.files.certificate
    command_action(ctx, "GrubImage", ctx.executable._grub_image, args, inputs, [output])
    return {}

def _grub_image_impl(ctx):
    return signed_program(ctx, _unsigned)

grub_image = rule(
    implementation = _grub_image_impl,
    doc = """The boot loader GRUB with its configuration as one program for UEFI, `NAME.efi`, which can be signed by a key of one's own.

It reads no module and no configuration from a disk, and has neither menu nor command line. Under Secure Boot it starts only
what both the firmware and `certificate` accept, by `chainloader`: a `unified_kernel_image` whose signature for the firmware is
in the file, and whose signature for GRUB is the file `NAME.sig` beside it, from `grub_signature`. The configuration finds the
partition that it was started from in `$loader_path`, such as `(hd0,gpt1)/EFI/BOOT`; it reads variables from files without a signature by
`load_env --skip-sig --file FILE NAMES`, which sets only the variables that are named.

`secure_boot_key` signs it, or, if the private key must not be on the build machine, `secure_boot_signature`; see
`unified_kernel_image`.""",
    attrs = SECURE_BOOT_ATTRS | {
        "certificate": attr.label(
            allow_single_file = [".pem"],
            doc = """The certificate whose key signs what GRUB opens, as PEM; it may be that of `secure_boot_key`.

            Without one GRUB verifies nothing, and starts no program under Secure Boot.""",
        ),
        "configs": attr.label_list(
            allow_empty = False,
            allow_files = True,
            doc = "The parts of the configuration (`grub.cfg`), in the order in which they are executed; buildifier sorts the list unless `# do not sort` precedes it.",
            mandatory = True,
        ),
        "modules": attr.string_list(
            doc = "Modules of GRUB that the configuration uses, such as `chain` for the command `chainloader`; those " +
                  "that they need are added, and those for the configuration and for signatures.",
            mandatory = True,
        ),
        "sbat": attr.label_list(
            allow_files = True,
            doc = "Files with lines of SBAT, which name the generations of GRUB and of the product.",
        ),
        "src": attr.label(
            doc = "The package with GRUB's kernel and modules, Debian's grub-efi-amd64-bin, or a set with it.",
            mandatory = True,
            providers = [DebianPackagesInfo],
        ),
        "_grub_image": attr.label(default = "//tools/commands:grub_image", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
