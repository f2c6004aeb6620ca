"""The rule initramfs."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:identifiers.bzl", "check_uuid")
load("//defs/private:rootfs_info.bzl", "RootfsInfo", "rootfs_arguments")

def _initramfs_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".img")
    kernel = ctx.actions.declare_file(ctx.label.name + ".vmlinuz")
    rootfs = ctx.attr.rootfs[RootfsInfo]
    spec = rootfs_arguments(rootfs) | {
        "disk_guid": check_uuid(ctx.attr.disk_guid, "%s: disk_guid" % ctx.label),
        "folders": ctx.attr.folders,
        "init": ctx.file.init,
        "kernel_output": kernel,
        "modules": ctx.attr.modules,
        "output": output,
        "partitions": ctx.file.layout,
        "paths": ctx.attr.paths,
        "programs": ctx.attr.programs,
    }
    inputs = depset([ctx.file.init, ctx.file.layout], transitive = [rootfs.inputs])
    command_action(ctx, "Initramfs", ctx.executable._initramfs, spec, inputs, [output, kernel])
    return [DefaultInfo(files = depset([output])), OutputGroupInfo(kernel = depset([kernel]))]

initramfs = rule(
    implementation = _initramfs_impl,
    doc = """An initramfs with programs and kernel modules of a root tree, and the kernel of that tree.

No program of the tree is run. The libraries of programs and the dependencies of modules are included. The output group
`kernel` has the kernel.""",
    attrs = {
        "disk_guid": attr.string(doc = "GUID of the disk.", mandatory = True),
        "folders": attr.string_list(doc = "Empty directories to create, such as mount points."),
        "init": attr.label(allow_single_file = True, doc = "The program that becomes /init.", mandatory = True),
        "layout": attr.label(
            allow_single_file = [".csv"],
            doc = "The layout of the disk; `/etc/partitions` lists its partitions, one per line: number, name and GUID.",
            mandatory = True,
        ),
        "modules": attr.string_list(
            doc = "Kernel modules that init loads, in this order, after their dependencies. `/etc/modules` of the " +
                  "initramfs lists their paths, one per line; `optional` follows what only soft dependencies name.",
        ),
        "paths": attr.string_list(doc = "Other files of the tree to include."),
        "programs": attr.string_list(doc = "Programs of the tree to include."),
        "rootfs": attr.label(doc = "The root tree.", mandatory = True, providers = [RootfsInfo]),
        "_initramfs": attr.label(default = "//tools/commands:initramfs", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
