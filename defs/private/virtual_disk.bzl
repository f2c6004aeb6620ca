"""The rule virtual_disk."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:disk_image_info.bzl", "DiskImageInfo")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:json_spec.bzl", "command_args")

_FORMATS = ["iso", "qcow2", "vhdx", "vmdk"]

def _virtual_disk_impl(ctx):
    name = ctx.label.name
    format = ctx.attr.format or name.rpartition(".")[2]
    if format not in _FORMATS:
        fail("%s: the name ends with none of .%s; set format" % (ctx.label, ", .".join(_FORMATS)))
    output = ctx.actions.declare_file(name if name.endswith("." + format) else name + "." + format)
    if ctx.attr.label and format != "iso":
        fail("%s: label: a file of the format %s has no label; leave it out" % (ctx.label, format))
    archive = ctx.attr.src[DiskImageInfo].archive
    args = command_args(ctx, disk = archive, format = format, label = ctx.attr.label or None, output = output)
    command_action(ctx, "VirtualDisk", ctx.executable._virtual_disk, args, [archive], [output])
    return [DefaultInfo(files = depset([output]))]

virtual_disk = rule(
    implementation = _virtual_disk_impl,
    doc = """A disk image as a file that virtual machines take as their disk, qcow2, VHDX or VMDK, or as an ISO image.

The output has the name of the target, and the format's suffix.

qcow2, VHDX and VMDK store the parts of the disk that have data, so that the file's size follows these. A virtual machine can
write to it; it is not compressed. qcow2 is for QEMU and OpenStack; VHDX for Hyper-V; VMDK, of the type monolithicSparse, for
VMware and VirtualBox. The identifiers in it are derived from the disk's GUID.

An ISO image is the disk itself, with the structures of a CD-ROM (ISO 9660, El Torito) before its first partition. UEFI
firmware starts the same file as a CD-ROM, which hypervisors and the remote consoles of servers can insert, and, written to a
USB stick, as a disk, both from the first EFI system partition. The partitions are files of the CD-ROM, such as `ESP.IMG` and
`A_ROOT.IMG`: in upper case, with `_` for what is neither letter nor digit. The file is as large as the disk; holes take no
space where it is written, but Bazel hashes and caches them as zeros.

Limits of an ISO image: A BIOS doesn't start it. The disk needs an EFI system partition (type `U`) and has at most 8 TiB.
Partitions begin at multiples of 2048 bytes, the first one at 1 MiB, or elsewhere behind the structures. A CD-ROM is read-only
and has blocks of 2048 bytes, so that Linux finds no partition table on it, and a system that asks for its root by the
partition's GUID doesn't start. What works is a unified kernel image that needs nothing but its initramfs, or an initramfs that

- mounts the CD-ROM, as `iso9660`, and from it the file of a partition, by `mount -o ro,loop /medium/root.img /root`;
- or gives it blocks of 512 bytes, by `losetup --find --read-only --partscan --sector-size 512 /dev/sr0`, whose partitions then
  appear as those of a disk.

It loads the modules `sr_mod`, `loop`, for the first way `isofs`, and the driver of the controller, such as `ahci`.""",
    attrs = {
        "format": attr.string(
            doc = "`iso`, `qcow2`, `vhdx` or `vmdk`; by default the suffix of the target's name.",
            values = [""] + _FORMATS,
        ),
        "label": attr.string(
            doc = "Label of an ISO image, its volume identifier: at most 32 characters A-Z, 0-9 and _; by default like the " +
                  "target's name, such as `DISK` for `disk.iso`.",
        ),
        "src": attr.label(doc = "The disk, a disk_image.", mandatory = True, providers = [DiskImageInfo]),
        "_virtual_disk": attr.label(default = "//tools/commands:virtual_disk", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
