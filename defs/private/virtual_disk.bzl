"""The rule virtual_disk."""

load("//defs/private:command_action.bzl", "WORKER_REQUIREMENTS", "command_args")
load("//defs/private:disk_image_info.bzl", "DiskImageInfo")
load("//defs/private:execution.bzl", "LINUX")

_FORMATS = ["qcow2", "vhdx", "vmdk"]

def _virtual_disk_impl(ctx):
    name = ctx.label.name
    format = ctx.attr.format or name.rpartition(".")[2]
    if format not in _FORMATS:
        fail("%s: the name ends with none of .%s; set format" % (ctx.label, ", .".join(_FORMATS)))
    output = ctx.actions.declare_file(name if name.endswith("." + format) else name + "." + format)
    archive = ctx.attr.src[DiskImageInfo].archive
    args = command_args(ctx)
    args.add(archive, format = "--disk=%s")
    args.add(output, format = "--output=%s")
    args.add(format, format = "--format=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._virtual_disk,
        execution_requirements = WORKER_REQUIREMENTS,
        inputs = [archive],
        mnemonic = "VirtualDisk",
        outputs = [output],
        progress_message = "Building %{output}",
    )
    return [DefaultInfo(files = depset([output]))]

virtual_disk = rule(
    implementation = _virtual_disk_impl,
    doc = """A disk image as a file that virtual machines take as their disk: qcow2, VHDX or VMDK.

The file stores the parts of the disk that have data, so that its size follows these. A virtual machine can write to it;
it is not compressed. qcow2 is for QEMU and OpenStack; VHDX for Hyper-V; VMDK, of the type monolithicSparse, for VMware and
VirtualBox. The identifiers in it are derived from the disk's GUID.

The output has the name of the target, and the format's suffix.""",
    attrs = {
        "format": attr.string(
            doc = "`qcow2`, `vhdx` or `vmdk`; by default the suffix of the target's name.",
            values = [""] + _FORMATS,
        ),
        "src": attr.label(doc = "The disk, a disk_image.", mandatory = True, providers = [DiskImageInfo]),
        "_virtual_disk": attr.label(default = "//tools/commands:virtual_disk", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
