"""Macros for virtual machines that boot disk images, for users and for tests."""

load("//defs/private:attributes.bzl", "check_types", "macro_label")
load("//defs/private:machine_platform.bzl", "MACHINE_PLATFORM_ATTRS", "check_architecture", "machine_file", "machine_platform", "to_machine")
load("//defs/private:qemu_toolchain.bzl", "qemu_files")
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

_DEFAULT_ARCHITECTURE = "x86_64"

_MACHINE_ATTRS = MACHINE_PLATFORM_ATTRS | {
    "architecture": attr.string(default = _DEFAULT_ARCHITECTURE, doc = "See vm_boot_test."),
    "firmware_variables": attr.label(allow_files = True, cfg = to_machine, doc = "See vm_boot_test."),
    "_qemu": attr.label(cfg = to_machine, default = "//defs/private:qemu"),
}

def _variables_of(ctx):
    """Returns a list with the file of the attribute firmware_variables, or an empty one."""
    if not ctx.attr.firmware_variables:
        return []
    (target,) = ctx.attr.firmware_variables
    groups = target[OutputGroupInfo] if OutputGroupInfo in target else None
    files = (groups.ovmf_variables if hasattr(groups, "ovmf_variables") else target.files).to_list()
    if len(files) != 1:
        fail("%s: firmware_variables: %s has %d files; give one variable store, or keys with ovmf_template" %
             (str(ctx.label).removesuffix(".spec"), target.label, len(files)))
    return files

def _machine_of(ctx):
    """Returns the arguments for the firmware and QEMU of a machine, as a dict for JSON, and their runfiles."""
    architecture = ctx.attr.architecture
    files, runfiles = qemu_files(ctx, ctx.attr._qemu[0], architecture)
    variables = _variables_of(ctx)
    values = {} if architecture == _DEFAULT_ARCHITECTURE else {"architecture": architecture}
    values |= {"firmware_variables": "runfile:" + file.short_path for file in variables}
    return values | ({"toolchain": files} if files else {}), runfiles.merge(ctx.runfiles(variables))

def _launcher_spec_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    values, runfiles = _machine_of(ctx)
    ctx.actions.write(output, json.encode(values) + "\n")
    return [DefaultInfo(files = depset([output]), runfiles = runfiles)]

launcher_spec = rule(
    implementation = _launcher_spec_impl,
    doc = "A JSON file with the QEMU and firmware, for the tool that boots the machine.",
    attrs = _MACHINE_ATTRS,
)

def _machine_disk(name, disk, architecture, **kwargs):
    """Declares the disk of the machine of a target, built for a processor as uname(1) names it; returns its label."""
    machine_file(
        name = name + ".disk",
        src = disk,
        advice = "one image, such as NAME.tar of a disk_image",
        attribute = "disk",
        platform = machine_platform(architecture),
        visibility = ["//visibility:private"],
        **kwargs
    )
    return ":%s.disk" % name

def vm_launcher(name, disk, architecture = _DEFAULT_ARCHITECTURE, firmware_variables = None, args = [], **kwargs):
    """Declares a target whose `bazel run` boots a disk image in QEMU, with its console on the terminal.

    The image is not changed. QEMU reads the data of a disk in its archive, without a copy, unless `--keep=FOLDER` keeps what the
    machine writes; a raw disk is copied. `bazel run TARGET -- --help` lists the options, such as ports, memory, KVM or emulation,
    and `--medium` for a removable disk. QEMU and firmware are those of the machine, or of a `qemu_toolchain`.

    Args:
        name: of the target.
        disk: the image as a tar, such as `:disk-img.tar`.
        architecture: see vm_boot_test.
        firmware_variables: see vm_boot_test.
        args: further arguments of the launcher.
        **kwargs: further attributes of the target, such as `tags` and `visibility`.
    """
    check_types(macro_label(name), "list", {"args": args})
    check_architecture(macro_label(name), architecture)
    tags = kwargs.pop("tags", None) or []
    machine_disk = _machine_disk(name, disk, architecture, tags = tags, testonly = kwargs.get("testonly"))
    launcher_spec(
        name = name + ".spec",
        architecture = architecture,
        firmware_variables = firmware_variables,
        platform = machine_platform(architecture),
        tags = tags,
        testonly = kwargs.get("testonly"),
        visibility = ["//visibility:private"],
    )
    py_binary(
        name = name,
        srcs = [str(Label("//tools/commands:vm_launcher.py"))],
        args = ["--disk=runfile:$(rootpath %s)" % machine_disk, "--spec=runfile:$(rootpath :%s.spec)" % name] + args,
        data = [machine_disk, name + ".spec"],
        main = Label("//tools/commands:vm_launcher.py"),
        # tells those who look at what was built that this boots an image
        tags = tags + ["vm-launcher"],
        deps = [Label("//tools/commands:vm_launcher")],
        **kwargs
    )

def _encoded(values):
    """Returns a dict with its values as JSON."""
    return {key: json.encode(value) for key, value in values.items()}

def _in_order(texts):
    """Returns a JSON object, of values in JSON, with the order of a dict, which is that of the checks; json.encode sorts the keys."""
    return "{%s}" % ", ".join(["%s: %s" % (json.encode(key), text) for key, text in texts.items()])

def _boot_spec_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")

    machine, runfiles = _machine_of(ctx)
    texts = {"commands": _in_order(_encoded(ctx.attr.commands)), "console": json.encode(ctx.attr.console)}
    if ctx.attr.files:
        texts["files"] = _in_order(_encoded(ctx.attr.files))
    texts |= _encoded({key: value for key, value in {"ports": ctx.attr.ports, "units": ctx.attr.units}.items() if value} | machine)
    ctx.actions.write(output, json.indent(_in_order(texts)) + "\n")
    return [DefaultInfo(files = depset([output]), runfiles = runfiles)]

_boot_spec = rule(
    implementation = _boot_spec_impl,
    doc = "A JSON file with the expected console output and the commands, for the tool that boots the machine.",
    attrs = {
        "commands": attr.string_dict(doc = "See vm_boot_test."),
        "console": attr.string_list(doc = "See vm_boot_test."),
        "files": attr.string_dict(doc = "See vm_boot_test."),
        "ports": attr.int_list(doc = "See vm_boot_test."),
        "units": attr.string_list(doc = "See vm_boot_test."),
    } | _MACHINE_ATTRS,
)

def _check_ports(where, ports):
    """Fails for what is no TCP port."""
    for port in ports:
        if type(port) != "int" or port < 1 or port > 65535:
            fail("%s: ports: %s is not a port; write a number from 1 to 65535" % (where, json.encode(port)))

def vm_boot_test(
        name,
        disk,
        console = [],
        commands = {},
        units = [],
        ports = [],
        files = {},
        root = None,
        architecture = _DEFAULT_ARCHITECTURE,
        firmware_variables = None,
        user = "root",
        password = "root",
        tpm = False,
        args = [],
        size = "enormous",
        tags = None,
        **kwargs):
    """Declares a test that boots a disk image in QEMU with UEFI firmware, and checks the running system.

    The system must have its console on ttyS0, on ttyAMA0 where `architecture` is `aarch64`. With `commands`, `units`, `ports`,
    `files` or `root` the test logs in there, for which Debian's systems need the package login, and the command `poweroff` must
    end the machine. The output of the console is among the test's outputs, as `console.log`, and a picture of the display when
    the first check failed, as `screen.png`. QEMU and firmware are those of the machine that runs the test, or of a
    `qemu_toolchain`; without either the test fails. What fails is printed, and for a unit its `systemctl status` and the last
    lines of its journal, for a port what the machine listens on.

    `bazel test :NAME` boots the machine again only after a change, and leaves the outputs in
    `bazel-testlogs/PACKAGE/NAME/test.outputs`; `bazel run :NAME` always boots it and prints each check when it is made. For the
    latter your `.bazelrc` needs `build --nozip_undeclared_test_outputs`: Bazel else calls the program zip when the checks have passed.

    Args:
        name: of the test.
        disk: the image as a tar, such as `:disk-img.tar`.
        console: regular expressions that the console must show, in this order, before the test logs in. Lines of services that
            start side by side come in any order: check all but one of these by `units`, `files` or `commands`.
        commands: dict of shell commands, which run in this order, to regular expressions that must match their complete
            output, without surrounding white space. A command with another exit status than 0 fails the test. They run
            after what follows.
        units: units of systemd that must be active when the boot has ended.
        ports: TCP ports that a program of the machine must listen on.
        files: dict of files to regular expressions that must match their complete text.
        root: the verity_image that the system must have opened as /dev/mapper/root; for this check the system needs
            findmnt and dmsetup.
        architecture: processor of the machine, as `uname -m` prints it: `x86_64`, in QEMU's machine q35 with OVMF, or `aarch64`,
            in its machine virt with AAVMF. The disk is built for it: for a target platform with another processor, in a
            configuration with the platform `@rules_icos//defs:linux_aarch64` or `linux_x86_64`. So `--platforms` stays that of
            the machine that tests, for which the test's own program is built. KVM needs a machine with the same processor.
        firmware_variables: the variable store of firmware that has the keys of a product: the machine boots under Secure Boot,
            and by these keys alone. A file, or a `secure_boot_keys` with `ovmf_template`, such as `NAME.enroll` of an `ab_system`.
        user: account that logs in; it needs the rights for the commands.
        password: its password.
        tpm: whether the machine has a TPM 2, emulated by swtpm, which the machine that tests needs for it. It is a new one,
            and the machine keeps it until it ends, also when the system reboots.
        args: further arguments of the test, such as `--secure_boot`, `--ends` for a machine that has to power off by itself, or
            `--timeout=900`, which is seconds for each line of `console`, for the login, and for each command; `bazel run :NAME --
            --help` lists them.
        size: of the test; an emulated boot takes half a minute to several minutes.
        tags: of the test; `vm` is added.
        **kwargs: further attributes of the test, such as `visibility`.
    """
    where, tags = macro_label(name), tags or []
    check_types(where, "list", {"args": args, "ports": ports, "tags": tags, "units": units}, configurable = False)
    check_types(where, "dict", {"commands": commands, "files": files}, configurable = False)
    check_types(where, "string", {"password": password, "user": user})
    check_architecture(where, architecture)
    check_types(where, "bool", {"tpm": tpm}, configurable = False)
    _check_ports(where, ports)
    machine_disk = _machine_disk(name, disk, architecture, tags = tags, testonly = True)
    _boot_spec(
        name = name + ".spec",
        testonly = True,
        architecture = architecture,
        commands = commands,
        console = console,
        files = files,
        firmware_variables = firmware_variables,
        platform = machine_platform(architecture),
        ports = ports,
        tags = tags,
        units = units,
    )
    arguments = [
        "--disk=runfile:$(rootpath %s)" % machine_disk,
        "--spec=runfile:$(rootpath :%s.spec)" % name,
        "--user=" + user,
        "--password=" + password,
    ]
    data = [machine_disk, name + ".spec"]
    if tpm:
        arguments.append("--tpm")
    if root:
        machine_file(
            name = name + ".root_hash",
            testonly = True,
            src = root,
            advice = "a verity_image",
            attribute = "root",
            output_group = "root_hash",
            platform = machine_platform(architecture),
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
