"""Macros for virtual machines that boot disk images, for users and for tests."""

load("//defs/private:attributes.bzl", "check_types", "macro_label")
load("//defs/private:qemu_toolchain.bzl", "QEMU_TOOLCHAINS", "qemu_files")
load("//tools:python.bzl", "py_binary", "py_test")

def raw_disk(name, disk, output = "disk.img", **kwargs):
    """Declares a target whose `bazel run` writes a disk image as a sparse file into the current directory.

    A raw image is not an output of a build, because caches would store and transfer every zero of it.

    Args:
        name: of the target.
        disk: the image as a tar, such as `:disk-img.tar`.
        output: the file to write, relative to that folder; `-- --output=FILE` overrides it.
        **kwargs: further attributes of the target, such as `tags` and `visibility`.
    """
    py_binary(
        name = name,
        srcs = [str(Label("//tools/commands:raw_disk.py"))],
        args = ["--disk=runfile:$(rootpath %s)" % disk, "--output=" + output],
        data = [disk],
        main = Label("//tools/commands:raw_disk.py"),
        deps = [Label("//tools/commands:raw_disk")],
        **kwargs
    )

def _launcher_spec_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    files, runfiles = qemu_files(ctx)
    ctx.actions.write(output, json.encode({"toolchain": files} if files else {}) + "\n")
    return [DefaultInfo(files = depset([output]), runfiles = runfiles)]

_launcher_spec = rule(
    implementation = _launcher_spec_impl,
    doc = "A JSON file with the QEMU and firmware of the toolchain, for the tool that boots the machine.",
    toolchains = QEMU_TOOLCHAINS,
)

def vm_launcher(name, disk, args = [], **kwargs):
    """Declares a target whose `bazel run` boots a disk image in QEMU, with its console on the terminal.

    The image is not changed. `bazel run TARGET -- --help` lists the options, such as ports, memory, KVM or emulation, and
    `--medium` for a removable disk. QEMU and firmware are those of the machine, or of a `qemu_toolchain`.

    Args:
        name: of the target.
        disk: the image as a tar, such as `:disk-img.tar`.
        args: further arguments of the launcher.
        **kwargs: further attributes of the target, such as `tags` and `visibility`.
    """
    check_types(macro_label(name), "list", {"args": args})
    tags = kwargs.pop("tags", None) or []
    _launcher_spec(
        name = name + ".spec",
        tags = tags,
        testonly = kwargs.get("testonly"),
        visibility = ["//visibility:private"],
    )
    py_binary(
        name = name,
        srcs = [str(Label("//tools/commands:vm_launcher.py"))],
        args = ["--disk=runfile:$(rootpath %s)" % disk, "--spec=runfile:$(rootpath :%s.spec)" % name] + args,
        data = [disk, name + ".spec"],
        main = Label("//tools/commands:vm_launcher.py"),
        # tells those who look at what was built that this boots an image
        tags = tags + ["vm-launcher"],
        deps = [Label("//tools/commands:vm_launcher")],
        **kwargs
    )

def _boot_spec_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")

    # The commands run in the order of the dict, but json.encode sorts the keys of a dict.
    pairs = ["%s: %s" % (json.encode(command), json.encode(expected)) for command, expected in ctx.attr.commands.items()]
    files, runfiles = qemu_files(ctx)
    toolchain = ', "toolchain": ' + json.encode(files) if files else ""
    text = '{"commands": {%s}, "console": %s%s}' % (", ".join(pairs), json.encode(ctx.attr.console), toolchain)
    ctx.actions.write(output, json.indent(text) + "\n")
    return [DefaultInfo(files = depset([output]), runfiles = runfiles)]

_boot_spec = rule(
    implementation = _boot_spec_impl,
    doc = "A JSON file with the expected console output and the commands, for the tool that boots the machine.",
    attrs = {
        "commands": attr.string_dict(doc = "See vm_boot_test."),
        "console": attr.string_list(doc = "See vm_boot_test."),
    },
    toolchains = QEMU_TOOLCHAINS,
)

def _quoted(text):
    """Returns a text as a word of a shell."""
    return "'%s'" % text.replace("'", "'\\''")

def _check_ports(where, ports):
    """Fails for what is no TCP port."""
    for port in ports:
        if type(port) != "int" or port < 1 or port > 65535:
            fail("%s: ports: %s is not a port; write a number from 1 to 65535" % (where, json.encode(port)))

def _expectations(units, ports, files):
    """Returns a dict of shell commands to what they print, as `commands` of vm_boot_test.

    Args:
        units: list of units of systemd.
        ports: list of TCP ports.
        files: dict of files to regular expressions.
    """

    # The login comes before the boot has ended.
    commands = {"systemctl is-system-running --wait || :": ".*"} if units or ports or files else {}
    commands |= {"systemctl is-active " + _quoted(unit): "active" for unit in units}
    for port in ports:
        # Local address, remote address, and state 0A, TCP_LISTEN: proc_net_tcp in the documentation of the kernel.
        row = ":%s [0-9A-F]+:0000 0A " % ("000%X" % port)[-4:]
        commands["grep -qE %s /proc/net/tcp /proc/net/tcp6 2>/dev/null" % _quoted(row)] = ""
    return commands | {"cat " + _quoted(file): text for file, text in files.items()}

def vm_boot_test(
        name,
        disk,
        console = [],
        commands = {},
        units = [],
        ports = [],
        files = {},
        root = None,
        user = "root",
        password = "root",
        tpm = False,
        args = [],
        size = "enormous",
        tags = None,
        **kwargs):
    """Declares a test that boots a disk image in QEMU with OVMF, and checks the running system.

    The system must have its console on ttyS0. With `commands`, `units`, `ports`, `files` or `root` the test logs in there,
    and the command `poweroff` must end the machine. The output of the console is among the test's outputs, as `console.log`,
    and a picture of the display when the first check failed, as `screen.png`. QEMU and firmware are those of the machine that
    runs the test, or of a `qemu_toolchain`; without either the test fails.

    Args:
        name: of the test.
        disk: the image as a tar, such as `:disk-img.tar`.
        console: regular expressions that the console must show, in this order, before the login.
        commands: dict of shell commands, which run in this order, to regular expressions that must match their complete
            output, without surrounding white space. A command with another exit status than 0 fails the test. They run
            after what follows.
        units: units of systemd that must be active when the boot has ended.
        ports: TCP ports that a program of the machine must listen on.
        files: dict of files to regular expressions that must match their complete text.
        root: the verity_image that the system must have opened as /dev/mapper/root; for this check the system needs
            findmnt and dmsetup.
        user: account that logs in; it needs the rights for the commands.
        password: its password.
        tpm: whether the machine has a TPM 2, emulated by swtpm, which the machine that tests needs for it. It is a new one,
            and the machine keeps it until it ends, also when the system reboots.
        args: further arguments of the test, such as `--secure_boot` or `--timeout=900`.
        size: of the test; an emulated boot takes half a minute to several minutes.
        tags: of the test; `vm` is added.
        **kwargs: further attributes of the test, such as `visibility`.
    """
    where, tags = macro_label(name), tags or []
    check_types(where, "list", {"args": args, "ports": ports, "tags": tags, "units": units}, configurable = False)
    check_types(where, "dict", {"commands": commands, "files": files}, configurable = False)
    check_types(where, "string", {"password": password, "user": user})
    check_types(where, "bool", {"tpm": tpm}, configurable = False)
    _check_ports(where, ports)
    expected = _expectations(units, ports, files)
    for command in commands:
        if command in expected:
            fail("%s: commands: %s is what units, ports or files run already; leave it out" % (where, json.encode(command)))
    _boot_spec(
        name = name + ".spec",
        testonly = True,
        commands = expected | commands,
        console = console,
        tags = tags,
    )
    arguments = [
        "--disk=runfile:$(rootpath %s)" % disk,
        "--spec=runfile:$(rootpath :%s.spec)" % name,
        "--user=" + user,
        "--password=" + password,
    ]
    data = [disk, name + ".spec"]
    if tpm:
        arguments.append("--tpm")
    if root:
        native.filegroup(
            name = name + ".root_hash",
            testonly = True,
            srcs = [root],
            output_group = "root_hash",
            tags = tags,
        )
        arguments.append("--root_hash=runfile:$(rootpath :%s.root_hash)" % name)
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
