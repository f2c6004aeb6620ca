"""Virtual machines that run disk images: for a person, and for tests."""

load("@rules_python//python:py_binary.bzl", "py_binary")
load("@rules_python//python:py_test.bzl", "py_test")

def raw_disk(name, disk, output = "disk.img", **kwargs):
    """`bazel run` of this target writes a disk image as a raw file with holes, into the folder it is called from.

    It is no output of a build: caches would keep and send every zero of it.

    Args:
        name: of the target.
        disk: the image as a tar, such as `:disk-img.tar`.
        output: the file to write; `-- --output=FILE` says another one.
        **kwargs: passed on: tags, visibility and so on.
    """
    py_binary(
        name = name,
        srcs = [str(Label("//tools/commands:raw_disk.py"))],
        args = ["--disk=$(rootpath %s)" % disk, "--output=" + output],
        data = [disk],
        main = Label("//tools/commands:raw_disk.py"),
        deps = [Label("//tools/commands:raw_disk")],
        **kwargs
    )

def vm_launcher(name, disk, args = [], **kwargs):
    """`bazel run` of this target boots a disk image in QEMU, with its console on the terminal.

    The image stays as it is. `bazel run TARGET -- --help` lists what can be said: ports, memory, KVM or emulation.

    Args:
        name: of the target.
        disk: the image as a tar, such as `:disk-img.tar`.
        args: further arguments.
        **kwargs: passed on: tags, visibility and so on.
    """
    py_binary(
        name = name,
        srcs = [str(Label("//tools/commands:vm_launcher.py"))],
        args = ["--disk=$(rootpath %s)" % disk] + args,
        data = [disk],
        main = Label("//tools/commands:vm_launcher.py"),
        deps = [Label("//tools/commands:vm_launcher")],
        **kwargs
    )

def _boot_spec_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(output, json.encode_indent({"commands": ctx.attr.commands, "console": ctx.attr.console}))
    return [DefaultInfo(files = depset([output]))]

_boot_spec = rule(
    implementation = _boot_spec_impl,
    doc = "What a machine should show and answer, as a file for the tool that boots it.",
    attrs = {
        "commands": attr.string_dict(doc = "See vm_boot_test."),
        "console": attr.string_list(doc = "See vm_boot_test."),
    },
)

def vm_boot_test(
        name,
        disk,
        console = [],
        commands = {},
        root = None,
        user = "root",
        password = "root",
        args = [],
        size = "enormous",
        tags = [],
        **kwargs):
    """Boots a disk image in QEMU with OVMF, and checks the running system.

    The serial console has to be ttyS0. With `commands` or `root`, someone logs in on it, and in the end the command
    `poweroff` has to end the machine. What the console shows is among the test's outputs, `console.log`.

    Args:
        name: of the test.
        disk: the image as a tar, such as `:disk-img.tar`.
        console: regular expressions that the console has to show, in this order, before anybody logs in.
        commands: lines for a shell, to a regular expression that all of a line's output has to match; space around the
            output doesn't count. A command that fails fails the test.
        root: the verity_image that the system must have opened as /dev/mapper/root; for this the system needs findmnt
            and dmsetup.
        user: account that logs in; it has to be allowed what the commands do.
        password: its password.
        args: further arguments, such as `--secure_boot` or `--timeout=900`.
        size: of the test; an emulated boot takes half a minute to several minutes.
        tags: of the test; `vm` is added.
        **kwargs: passed on: visibility and so on.
    """
    _boot_spec(
        name = name + ".spec",
        testonly = True,
        commands = commands,
        console = console,
        tags = tags,
    )
    arguments = [
        "--disk=$(rootpath %s)" % disk,
        "--spec=$(rootpath :%s.spec)" % name,
        "--user=" + user,
        "--password=" + password,
    ]
    data = [disk, name + ".spec"]
    if root:
        native.filegroup(
            name = name + ".root_hash",
            testonly = True,
            srcs = [root],
            output_group = "root_hash",
            tags = tags,
        )
        arguments.append("--root_hash=$(rootpath :%s.root_hash)" % name)
        data.append(name + ".root_hash")
    py_test(
        name = name,
        size = size,
        srcs = [str(Label("//tools/commands:vm_boot_check.py"))],
        args = arguments + args,
        data = data,
        main = Label("//tools/commands:vm_boot_check.py"),
        tags = tags + ["vm"],
        deps = [Label("//tools/commands:vm_boot_check")],
        **kwargs
    )
