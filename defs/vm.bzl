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
        "findmnt --noheadings --output FSTYPE,LABEL /": "ext4 root",
        "systemctl is-system-running --wait": "running",
        "systemctl list-units --failed --plain --no-legend --no-pager": "",
    },
    console = ["appliance: boot 1"],
    disk = ":disk.tar",
    files = {"/var/lib/greeter/boots": "1"},
    units = ["multi-user.target"],
)
```
"""

load("//defs/private:vm.bzl", _raw_disk = "raw_disk", _vm_boot_test = "vm_boot_test", _vm_launcher = "vm_launcher")

raw_disk = _raw_disk
vm_boot_test = _vm_boot_test
vm_launcher = _vm_launcher
