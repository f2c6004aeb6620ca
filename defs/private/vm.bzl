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
        srcs = [str(Label("//tools:write_disk.py"))],
        args = ["--disk=$(rootpath %s)" % disk, "--output=" + output],
        data = [disk],
        main = Label("//tools:write_disk.py"),
        deps = [Label("//tools:write_disk")],
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
        srcs = [str(Label("//tools/vm:launch_local_vm.py"))],
        args = ["--disk=$(rootpath %s)" % disk] + args,
        data = [disk],
        main = Label("//tools/vm:launch_local_vm.py"),
        deps = [Label("//tools/vm:launch_local_vm")],
        **kwargs
    )

def vm_boot_test(name, disk, version, root, variant, args = [], size = "enormous", tags = [], **kwargs):
    """Boots a disk image in QEMU with OVMF, and checks the running system.

    From inside, where root logs in on the console: the slot, the root file system read-only through dm-verity with the
    right root hash, no failed unit, the version, the payload's health. From outside for `prod`: no way in. What the
    console shows is among the test's outputs, `console.log`.

    Args:
        name: of the test.
        disk: the image as a tar, such as `:disk-img.tar`.
        version: file with the version that the system must have.
        root: the verity_image that the system must have opened.
        variant: `dev`, where root logs in with the password `root`, or `prod`.
        args: further arguments, such as `--secure_boot`.
        size: of the test; an emulated boot takes half a minute to several minutes.
        tags: of the test; one that boots a machine takes a processor of its own.
        **kwargs: passed on: visibility and so on.
    """
    native.filegroup(
        name = name + ".root_hash",
        testonly = True,
        srcs = [root],
        output_group = "root_hash",
        tags = tags,
    )
    py_test(
        name = name,
        size = size,
        srcs = [str(Label("//tools/vm:boot_test.py"))],
        args = [
            "--disk=$(rootpath %s)" % disk,
            "--root_hash=$(rootpath :%s.root_hash)" % name,
            "--variant=" + variant,
            "--version=$(rootpath %s)" % version,
        ] + args,
        data = [disk, version, name + ".root_hash"],
        main = Label("//tools/vm:boot_test.py"),
        tags = tags + ["cpu:2", "vm"],
        deps = [Label("//tools/vm:boot_test")],
        **kwargs
    )
