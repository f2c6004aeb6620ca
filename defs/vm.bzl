"""Virtual machines that boot disk images, for users and for tests."""

load("//defs/private:vm.bzl", _raw_disk = "raw_disk", _vm_boot_test = "vm_boot_test", _vm_launcher = "vm_launcher")

raw_disk = _raw_disk
vm_boot_test = _vm_boot_test
vm_launcher = _vm_launcher
