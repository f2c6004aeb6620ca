"""The rule qemu_toolchain: the QEMU and firmware that tests and launchers use."""

load("//defs/private:machine_platform.bzl", "check_architecture")

QEMU_TOOLCHAIN_TYPE = Label("//defs:qemu_toolchain_type")

# Without a toolchain, programs and firmware are found on the machine when a test or launcher runs.
_QEMU_TOOLCHAINS = [config_common.toolchain_type(QEMU_TOOLCHAIN_TYPE, mandatory = False)]

_PROGRAMS = ["qemu", "qemu_img"]
_FIRMWARE = ["code", "variables", "secure_boot_code", "secure_boot_variables"]

def _qemu_toolchain_impl(ctx):
    given = {name: target for name in _PROGRAMS + _FIRMWARE for target in [getattr(ctx.attr, name)] if target}
    if not given:
        fail("%s: brings nothing; set %s, or leave the toolchain out" % (ctx.label, ", ".join(_PROGRAMS + _FIRMWARE)))
    for kind in ("", "secure_boot_"):
        if kind + "variables" in given and kind + "code" not in given:
            fail("%s: %svariables: belongs to a firmware; set %scode, too" % (ctx.label, kind, kind))
    files = {name: getattr(ctx.executable if name in _PROGRAMS else ctx.file, name) for name in given}
    runfiles = ctx.runfiles(files.values() + ctx.files.data).merge_all([
        target[DefaultInfo].default_runfiles
        for target in given.values() + ctx.attr.data
    ])
    check_architecture(ctx.label, ctx.attr.architecture)
    return [platform_common.ToolchainInfo(architecture = ctx.attr.architecture, files = files, runfiles = runfiles)]

qemu_toolchain = rule(
    implementation = _qemu_toolchain_impl,
    doc = """The QEMU and UEFI firmware that `vm_boot_test` and `vm_launcher` use, instead of those of the machine that runs them.

Declare a `toolchain` of the type `@rules_icos//defs:qemu_toolchain_type` with it, and register that by `register_toolchains`
in MODULE.bazel, or by `--extra_toolchains`. What it lacks, and everything without such a toolchain, is found on the machine
at the time of the test: `qemu-system-x86_64` (or that of another architecture) and `qemu-img` on PATH, and firmware by the
descriptors that distributions install in `/usr/share/qemu/firmware`. A test fails if it is not there.

A toolchain is for machines of one `architecture`; those of another one take `qemu_img` alone from it. To register toolchains for
several, give each `toolchain` a `target_compatible_with`, such as `@platforms//cpu:aarch64`.""",
    attrs = {
        name: attr.label(allow_files = True, cfg = "exec", doc = doc, executable = True)
        for name, doc in {
            "qemu": "The program `qemu-system-x86_64`, or that of `architecture`, version 10 or newer.",
            "qemu_img": "The program `qemu-img`, which launchers use for `--keep`.",
        }.items()
    } | {
        name: attr.label(allow_single_file = True, cfg = "exec", doc = doc)
        for name, doc in {
            "code": "The executable of firmware without Secure Boot, such as OVMF_CODE_4M.fd. For aarch64 it has 64 MiB.",
            "secure_boot_code": "The executable of firmware with Secure Boot, such as OVMF_CODE_4M.secboot.fd.",
            "secure_boot_variables": "Its variable store, with enrolled keys, such as OVMF_VARS_4M.ms.fd.",
            "variables": "The template of the variable store of `code`; none if all is in one file.",
        }.items()
    } | {
        "architecture": attr.string(default = "x86_64", doc = "Processor of the machines, as `uname -m` prints it: aarch64 or x86_64."),
        "data": attr.label_list(allow_files = True, cfg = "exec", doc = "Files that the programs need, such as QEMU's ROMs."),
    },
)

def _found_qemu_impl(ctx):
    toolchain = ctx.toolchains[QEMU_TOOLCHAIN_TYPE]
    return [toolchain] if toolchain else []

found_qemu = rule(
    implementation = _found_qemu_impl,
    doc = "The qemu_toolchain for the target platform, if there is one.",
    toolchains = _QEMU_TOOLCHAINS,
)

def qemu_files(ctx, target, architecture):
    """Returns the value of the argument `toolchain` of the commands that start machines, and its runfiles.

    Args:
        ctx: of a rule.
        target: a found_qemu.
        architecture: of the machine, as uname(1) names it.

    Returns:
        Dict of names of files to paths, empty without a toolchain; and runfiles.
    """
    if platform_common.ToolchainInfo not in target:
        return {}, ctx.runfiles()
    toolchain = target[platform_common.ToolchainInfo]
    names = [name for name in toolchain.files if name == "qemu_img" or toolchain.architecture == architecture]
    return (
        {name: "runfile:" + toolchain.files[name].short_path for name in names},
        toolchain.runfiles if names else ctx.runfiles(),
    )
