"""Appliances that update themselves: two systems, a boot loader that tries a new one once, update images.

An example. From [examples/ab-appliance/BUILD.bazel](../../examples/ab-appliance/BUILD.bazel):

```starlark
[
    ab_system(
        name = name,
        disk_guid = _DISK_GUID,
        extra_files = {
            "appliance": "usr/lib/appliance:0755",
            "appliance.service": "usr/lib/systemd/system/appliance.service",
        },
        grub = "@packages//packages:grub-efi-amd64-signed",
        healthy = ["appliance.service"],
        kernel_arguments = [
            "systemd.volatile=state",  # the root is read-only: /var is in memory
            "console=ttyS0,115200n8",
        ] + arguments,
        keys = ["keys/appliance.pem"],
        layers = [":base"],
        passwords = {"root": "root"},  # only for the test; a product must have none
        product = "ab-appliance",
        root_files_size = "300M",
        root_size = "320M",
        shim = "@packages//packages:shim-signed",
        signing_key = "keys/appliance.test-only.key.pem",
        tags = tags,
        version_file = "versions/%d.txt" % version,
    )
    for name, version, arguments, tags in [
        ("disk", 1, [], []),
        (
            "next",
            2,
            [],
            ["manual"],
        ),
        (
            "broken",
            3,
            ["appliance.broken"],
            ["manual"],
        ),
    ]
]
```
"""

load("//defs/private:ab_system.bzl", _ab_system = "ab_system")

ab_system = _ab_system
