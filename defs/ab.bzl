"""Appliances that update themselves: two systems, a boot loader that tries a new one once, update images.

An example. From [examples/ab-appliance/appliance.bzl](../../examples/ab-appliance/appliance.bzl):

```starlark
    ab_system(
        name = name,
        data_size = DATA_SIZE,
        disk_guid = DISK_GUID,
        extra_files = {
            "//:rootfs/appliance": "usr/lib/appliance:0755",
            "//:rootfs/appliance.service": "usr/lib/systemd/system/appliance.service",
            "//:rootfs/ethernet.network": "usr/lib/systemd/network/ethernet.network",
            "//:rootfs/updater": "usr/lib/updater:0755",
            "//:rootfs/updater.service": "usr/lib/systemd/system/updater.service",
        } | extra_files,
        grub = "@packages//packages:grub-efi-amd64-signed",
        healthy = [
            "appliance.service",
            "updater.service",
        ] + healthy,
        kernel_arguments = [
            "systemd.volatile=state",  # the root is read-only: /var is in memory
            "console=ttyS0,115200n8",
        ],
        keys = ["//:keys/appliance.pem"],
        layers = ["//:base"],
        passwords = passwords,
        product = PRODUCT,
        root_files_size = "300M",
        root_size = "320M",
        root_type = "erofs",
        shim = "@packages//packages:shim-signed",
        signing_key = "//:" + SIGNING_KEY,
        symlinks = {
            "etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "/usr/lib/systemd/system/systemd-networkd.service",
        },
        version_file = version_file,
        **kwargs
    )
```
"""

load("//defs/private:ab_system.bzl", _ab_system = "ab_system")

ab_system = _ab_system
