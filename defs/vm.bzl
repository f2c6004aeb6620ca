"""Virtual machines that boot disk images, for users and for tests.

An example. From [examples/minimal-appliance/BUILD.bazel](../../examples/minimal-appliance/BUILD.bazel):

```starlark
# bazel run :disk.img
raw_disk(
    name = "disk.img",
    disk = ":disk.tar",
)

# bazel run :launch
vm_launcher(
    name = "launch",
    disk = ":disk.tar",
)

vm_boot_test(
    name = "boot_test",
    args = ["--timeout=300"],
    commands = {
        "dpkg --verify greeter": "",
        "dpkg-query --show --showformat='${db:Status-Status} ${Version}' greeter": "installed 1.0",
        "findmnt --noheadings --output FSTYPE,LABEL /": "ext4 root",
        "systemctl is-system-running --wait": "running",
        "systemctl list-units --failed --plain --no-legend --no-pager": "",
    },
    console = ["appliance: boot 1"],
    disk = ":disk.tar",
    files = {"/var/lib/greeter/boots": "1"},
    units = [
        "greeter.service",
        "multi-user.target",
    ],
)
```

A machine for another processor. From [examples/arm64-kernel/BUILD.bazel](../../examples/arm64-kernel/BUILD.bazel):

```starlark
# bazel run :launch
vm_launcher(
    name = "launch",
    architecture = "aarch64",
    disk = ":disk.tar",
)

vm_boot_test(
    name = "boot_test",
    architecture = "aarch64",
    args = [
        "--ends",
        "--timeout=300",
    ],
    console = [
        "^arm64-kernel: aarch64, Linux ",
        "^1 esp [0-9a-f-]{36}$",
        "^2 root [0-9a-f-]{36}$",
    ],
    disk = ":disk.tar",
)
```

A QEMU of one's own. From [tests/e2e/consumer/BUILD.bazel](../../tests/e2e/consumer/BUILD.bazel):

```starlark
qemu_toolchain(
    name = "own_qemu_files",
    code = "version.txt",
    qemu = "qemu.sh",
    visibility = ["//visibility:public"],
)

toolchain(
    name = "own_qemu",
    toolchain = ":own_qemu_files",
    toolchain_type = "@rules_icos//defs:qemu_toolchain_type",
)
```
"""

load("//defs/private:qemu_toolchain.bzl", _qemu_toolchain = "qemu_toolchain")
load("//defs/private:vm.bzl", _raw_disk = "raw_disk", _vm_boot_test = "vm_boot_test", _vm_launcher = "vm_launcher")

qemu_toolchain = _qemu_toolchain
raw_disk = _raw_disk
vm_boot_test = _vm_boot_test
vm_launcher = _vm_launcher
