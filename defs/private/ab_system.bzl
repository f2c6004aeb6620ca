"""The macro ab_system."""

load("@rules_pkg//pkg:providers.bzl", "PackageDirsInfo")
load("//defs:disk.bzl", "disk_image", "upgrade_image")
load("//defs/private:ab_partitions.bzl", "check_extra_partitions", "extra_images", "extra_rows", "mount_lines")
load("//defs/private:attributes.bzl", "COMMON_ATTRIBUTES", "check_names", "check_types", "macro_label")
load("//defs/private:boot_args.bzl", "boot_args")
load("//defs/private:debian_data.bzl", "debian_file")
load("//defs/private:erofs_image.bzl", "erofs_image")
load("//defs/private:ext4_image.bzl", "ext4_image")
load("//defs/private:identifiers.bzl", "check_uuid")
load("//defs/private:initramfs.bzl", "initramfs")
load("//defs/private:own_keys.bzl", "own_keys_enrollment", "own_keys_kernel", "own_keys_loader")
load("//defs/private:rootfs_tree.bzl", "ROOTFS_TREE_ATTRS", "rootfs_tree")
load("//defs/private:size.bzl", "SECTOR", "parse_size")
load("//defs/private:verity_image.bzl", "verity_image")
load("//defs/private:vfat_image.bzl", "vfat_image")
load("//defs/private:vm.bzl", "raw_disk", "vm_launcher")

_FILES = "//tools/ab_system:"
_HOME = "usr/lib/ab-system/"
_UNITS = "usr/lib/systemd/system/"
_SLOTS = "EFI/debian/slots"

# The programs that tools/ab_system/ab_update.py starts in the system.
_UPDATE_PROGRAMS = ["/usr/bin/openssl"]

# The programs of tools/ab_system/init.
_PROGRAMS = [
    "bin/sh",
    "usr/bin/mount",
    "usr/bin/sleep",
    "usr/sbin/blkid",
    "usr/sbin/insmod",
    "usr/sbin/switch_root",
    "usr/sbin/veritysetup",
]

_MODULES = ["virtio_blk", "ext4", "dm-verity"]

# What it needs besides in own-key mode, to find its slot and to hand on signatures for a TPM.
_OWN_KEYS_PROGRAMS = ["usr/bin/cat", "usr/bin/mkdir", "usr/bin/tr", "usr/bin/umount"]
_OWN_KEYS_MODULES = ["efivarfs"]

# Neither partitions that the layout does not have nor the host's credentials configure a system that is signed.
_OWN_KEYS_ARGUMENTS = ["panic=10", "systemd.gpt_auto=0", "systemd.import_credentials=no"]

# File systems of the root: the rule of the image, and modules beside _MODULES.
_ROOT_TYPES = {
    "erofs": struct(image = erofs_image, modules = ["erofs"]),
    "ext4": struct(image = ext4_image, modules = []),
}

# The attributes of ab_system beside those of rootfs_tree and of all rules.
_OWN_ATTRIBUTES = [
    "boot_size",
    "data",
    "data_size",
    "disk_guid",
    "esp_size",
    "extra_partition_images",
    "extra_partitions",
    "grub",
    "healthy",
    "healthy_seconds",
    "kernel_arguments",
    "keys",
    "modules",
    "product",
    "rollback_index",
    "root_files_size",
    "root_size",
    "root_type",
    "secure_boot",
    "shim",
    "signing_key",
    "variant",
    "version_file",
]

# The highest rollback index: one of 32 bits.
_MOST_INDEX = (1 << 32) - 1

# The longest that units must be healthy, in seconds.
_MOST_SECONDS = 3600

# Bytes of a block of the root, of which dm-verity hashes whole ones.
_BLOCK = 4096

# Types of units (systemd(1), "Concepts").
_UNIT_TYPES = ["automount", "device", "mount", "path", "scope", "service", "slice", "socket", "swap", "target", "timer"]

# What names of units consist of (systemd.unit(5)).
_UNIT_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@"

def _check_healthy(where, units, seconds):
    """Fails for names of units that systemd would leave out of the requirements of ab-confirm.service, and for a wrong time."""
    check_types(where, "list", {"healthy": units}, configurable = False)
    check_types(where, "int", {"healthy_seconds": seconds}, configurable = False)
    for unit in units:
        check_types(where, "string", {"healthy": unit}, configurable = False)
        stem, dot, kind = unit.rpartition(".")
        if not dot:
            continue  # the check of the root tree says it, and names a unit
        if not stem or kind not in _UNIT_TYPES or unit.strip(_UNIT_LETTERS):
            fail("%s: healthy: %s is no name of a unit; give one such as app.service" % (where, json.encode(unit)))
        if stem.endswith("@"):
            fail("%s: healthy: %s is a template, which never starts; give an instance of it, such as %s1.%s" % (where, unit, stem, kind))
    if seconds < 0 or seconds > _MOST_SECONDS:
        fail("%s: healthy_seconds: %d is not a number of seconds from 0 to %d" % (where, seconds, _MOST_SECONDS))

def _text_file_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(output, "".join([line + "\n" for line in ctx.attr.lines]))
    return [DefaultInfo(files = depset([output]))]

_text_file = rule(
    implementation = _text_file_impl,
    doc = "A file with the name of the target.",
    attrs = {"lines": attr.string_list(doc = "Its lines.")},
)

def _folders_impl(ctx):
    return [PackageDirsInfo(attributes = {"mode": "0755"}, dirs = ctx.attr.dirs)]

_folders = rule(
    implementation = _folders_impl,
    doc = "Directories, as pkg_mkdirs declares them.",
    attrs = {"dirs": attr.string_list(doc = "Their paths.")},
)

def _file(name):
    return Label(_FILES + name)

def _layout(sizes):
    """Returns the lines of the layout, with sizes in sectors; grub.cfg has the partitions' numbers."""

    def sectors(size):
        return parse_size(size, "size") // SECTOR

    return [
        "name,start,size,type,uuid,comment",
        "esp,1M,%s,uefi,,size by esp_size: boot loader and its state" % sectors(sizes.esp),
        "A_boot,,%s,linux,,size by boot_size: kernel and initramfs of A" % sectors(sizes.boot),
        "A_root,,%s,linux,,size by root_size: read-only system of A (root_files_size) and its hash tree" % sectors(sizes.root),
        "B_boot,,%s,linux,,size by boot_size: the same of B; empty until an update" % sectors(sizes.boot),
        "B_root,,%s,linux,,size by root_size: the same of B" % sectors(sizes.root),
        "data,,%s,linux,,size by data_size: what both share" % sectors(sizes.data),
    ]

def _mounts(name, partitions, common):
    """Declares the units that mount partitions; returns their paths by target, and the links that enable them."""
    units = {}
    for partition in partitions:
        unit = "%s.extra.%s.mount" % (name, partition)
        _text_file(name = unit, lines = mount_lines(partition), **common)
        units[":" + unit] = _UNITS + partition + ".mount"
    links = {"%slocal-fs.target.wants/%s.mount" % (_UNITS, each): "../%s.mount" % each for each in partitions}
    return units, links

def _tree(name, healthy, healthy_seconds, partitions, identity, keys, version_file, srcs, extra_files, strip_paths, symlinks, common, tree):
    """Declares `NAME.tree`: the root tree with what updates and confirms it, and what mounts further partitions."""
    units = " ".join(healthy)
    _text_file(name = name + ".healthy.conf", lines = ["[Unit]", "Requires=" + units, "After=" + units], **common)
    _text_file(
        name = name + ".healthy.json",
        lines = [json.encode({"seconds": healthy_seconds, "units": healthy})],
        **common
    )
    _text_file(name = name + ".system.json", lines = [json.encode(identity)], **common)
    _folders(name = name + ".folders", dirs = ["data"] + partitions, **common)
    mounts, mount_links = _mounts(name, partitions, common)
    own_files = {
        _file("ab-confirm.service"): _UNITS + "ab-confirm.service",
        _file("ab-revert.service"): _UNITS + "ab-revert.service",
        _file("ab_update.py"): _HOME + "ab-update:0755",
        _file("data.mount"): _UNITS + "data.mount",
        ":%s.healthy.conf" % name: _UNITS + "ab-confirm.service.d/healthy.conf",
        ":%s.healthy.json" % name: _HOME + "healthy.json",
        ":%s.system.json" % name: _HOME + "system.json",
        version_file: _HOME + "version",
    } | {key: "%skeys/%d.pem" % (_HOME, number) for number, key in enumerate(keys)}
    own_links = {
        _UNITS + "local-fs.target.wants/data.mount": "../data.mount",
        _UNITS + "multi-user.target.wants/ab-confirm.service": "../ab-confirm.service",
    }
    rootfs_tree(
        name = name + ".tree",
        srcs = [name + ".folders"] + srcs,
        extra_files = own_files | mounts | extra_files,
        strip_paths = ["/boot/*", "/vmlinuz*"] + strip_paths,
        symlinks = own_links | mount_links | symlinks,
        **(common | tree)
    )

def _slot(name, disk_guid, kernel_arguments, modules, product, root_type, secure_boot, sizes, layers, uuid, common):
    """Declares `NAME.root` and `NAME.boot`, which belong together."""
    _ROOT_TYPES[root_type].image(
        name = name + ".root-fs",
        src = name + ".tree",
        label = "root",
        partition_size = sizes.root_files,
        size_attribute = macro_label(name) + ": root_files_size",
        uuid = uuid(1),
        **common
    )
    verity_image(name = name + ".root", src = name + ".root-fs", salt = disk_guid[:8], uuid = uuid(2), **common)
    rootfs_tree(name = name + ".kernel-tree", layers = layers, **common)
    initramfs(
        name = name + ".initrd",
        disk_guid = disk_guid,
        folders = ["proc", "run", "sys", "sysroot"],
        init = _file("init"),
        layout = name + ".partitions.csv",
        modules = modules + _ROOT_TYPES[root_type].modules + (_OWN_KEYS_MODULES if secure_boot else []),
        programs = _PROGRAMS + (_OWN_KEYS_PROGRAMS if secure_boot else []),
        rootfs = name + ".kernel-tree",
        **common
    )
    native.filegroup(name = name + ".kernel", srcs = [name + ".initrd"], output_group = "kernel", **common)
    root = {
        "hash_offset_argument": "ab.hash_offset",
        "root": name + ".root",
        "root_hash_argument": "ab.root_hash",
    }
    if secure_boot:
        files = _signed_kernel(name, kernel_arguments, product, secure_boot, root, common)
    else:
        boot_args(name = name + ".boot_args", args = kernel_arguments, **(root | common))
        files = {name + ".boot_args": "boot_args", name + ".initrd": "initrd.img", name + ".kernel": "vmlinuz"}
    ext4_image(
        name = name + ".boot",
        extra_files = files,
        label = "boot",
        partition_size = sizes.boot,
        size_attribute = macro_label(name) + ": boot_size",
        uuid = uuid(3),
        **common
    )

def _signed_kernel(name, kernel_arguments, product, secure_boot, root, common):
    """Declares `NAME.uki`; returns the files of the boot partition."""
    _text_file(name = name + ".os-release", lines = ["ID=linux", "NAME='%s'" % product], **common)
    own_keys_kernel(
        name = name + ".uki",
        args = kernel_arguments + _OWN_KEYS_ARGUMENTS,
        common = common,
        initrd = name + ".initrd",
        kernel = name + ".kernel",
        keys = secure_boot,
        os_release = name + ".os-release",
        **root
    )
    return {name + ".uki": "uki.efi", name + ".uki.grub": "uki.efi.sig"}

def _signed_loader(name, secure_boot, owner, common):
    """Declares `NAME.loader` and `NAME.enroll`; returns the files of the EFI system partition."""
    own_keys_loader(
        name = name + ".loader",
        # do not sort
        configs = [_file("own_keys.cfg"), _file("grub.cfg")],
        keys = secure_boot,
        **common
    )
    own_keys_enrollment(name = name + ".enroll", keys = secure_boot, owner = owner, **common)
    return {_file("slots"): _SLOTS, name + ".loader": "EFI/BOOT/BOOTX64.EFI"}

def _distribution_loader(name, grub, shim, common):
    """Declares the boot loaders of the distribution; returns the files of the EFI system partition."""
    debian_file(name = name + ".shim", src = shim, path = "usr/lib/shim/shimx64.efi.signed", **common)
    debian_file(name = name + ".grub", src = grub, path = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", **common)
    return {
        _file("grub.cfg"): "EFI/debian/grub.cfg",
        _file("slots"): _SLOTS,
        name + ".grub": "EFI/BOOT/grubx64.efi",
        name + ".shim": "EFI/BOOT/BOOTX64.EFI",
    }

def _loader(name, disk_guid, grub, shim, secure_boot, sizes, common):
    """Declares `NAME.esp`."""
    if secure_boot:
        files = _signed_loader(name, secure_boot, disk_guid, common)
    else:
        files = _distribution_loader(name, grub, shim, common)
    vfat_image(
        name = name + ".esp",
        extra_files = files,
        label = "ESP",
        partition_size = sizes.esp,
        size_attribute = macro_label(name) + ": esp_size",
        volume_id = "%s-%s" % (disk_guid[:4].upper(), disk_guid[4:8].upper()),
        **common
    )

def ab_system(
        name,
        disk_guid,
        keys,
        layers,
        product,
        version_file,
        boot_size = "32M",
        data = None,
        data_size = "512M",
        esp_size = "32M",
        extra_files = {},
        extra_partition_images = {},
        extra_partitions = {},
        grub = None,
        healthy = ["multi-user.target"],
        healthy_seconds = 10,
        kernel_arguments = ["systemd.volatile=state", "console=ttyS0,115200n8"],
        modules = _MODULES,
        rollback_index = 0,
        root_files_size = "480M",
        root_size = "512M",
        root_type = "ext4",
        secure_boot = None,
        shim = None,
        signing_key = None,
        srcs = [],
        strip_paths = [],
        symlinks = {},
        variant = "standard",
        visibility = None,
        tags = None,
        testonly = None,
        **kwargs):
    """Declares a system that is installed twice, as A and B, and updates the one that doesn't run.

    The disk has an EFI system partition with the boot loader, a boot and a root partition for each slot, and a partition
    `data` that both share, mounted at `/data`. The root is read-only, and dm-verity verifies each block when it is read.
    GRUB boots a new system once; if it isn't confirmed, the next boot is that of the old one. A system confirms itself
    when the units of `healthy` have started and have been active for `healthy_seconds`; if one of them fails, it reboots into
    the old one.

    In the system, `/usr/lib/ab-system/ab-update` installs update images, `install IMAGE`, and reports, `status`. It needs
    the packages python3 and openssl; the first process in the initramfs needs cryptsetup-bin, mount and util-linux; without
    them the build ends with an error. The kernel is the one in `layers`. An account of `passwords` logs in on the console
    by the package login. Machines are x86-64 with UEFI.

    The boot loader is one of two. With `grub` and `shim`, Debian's signed ones: Secure Boot of any firmware accepts them, but
    GRUB's configuration, the kernel command line and the initramfs are not signed, so who can write to the disk can change
    what runs. With `secure_boot`, a GRUB that the product's own key signs, which starts only a signed image with kernel,
    initramfs and command line: firmware that has the keys of `NAME.enroll` starts nothing else from the disk. Machines with one
    of them refuse update images for the other.

    Targets: `NAME`, the disk, with `NAME.tar` and what else `disk_image` declares; `NAME.update`, the update image, if there
    is a `signing_key`; `NAME.img`, which writes the raw disk by `bazel run`; `NAME.launch`, which boots it in QEMU, under
    Secure Boot if `own_keys` has an `ovmf_template`; the parts `NAME.tree`, `NAME.root`, `NAME.boot`, `NAME.esp` and
    `NAME.data`, and `NAME.extra.PARTITION` for each of `extra_partitions`; and `NAME.partitions.csv`, the layout, by which a
    `disk_image` of these parts has other data, such as an update for a test. With `secure_boot` also `NAME.loader`, `NAME.uki` and `NAME.enroll`, the keys for the firmware.

    Args:
        name: of the disk, and prefix of all targets.
        disk_guid: GUID of the machines' disks; the UUIDs of file systems are derived from it.
        keys: public keys, PEM files, one of which must have signed an update. To change the key, release a version with the
            old key and the new one in `keys`, signed by the old one.
        layers: layers of the root tree, with the packages and the kernel; see `rootfs_tree`.
        product: name of the product, in updates and in the system.
        version_file: a file with the version.
        boot_size: size of each boot partition.
        data: the image of the partition `data`; by default an empty file system.
        data_size: size of the partition `data`. An update image is copied there before it is installed, so it needs room for
            one, about the size of the root's files, besides what else lasts.
        esp_size: size of the EFI system partition.
        extra_files: files of the root tree; see `rootfs_tree`.
        extra_partition_images: dict of names in `extra_partitions` to images, such as an `ext4_image`, of at most that size; the
            others have empty ext4 file systems with journals.
        extra_partitions: dict of names of further partitions, which both systems share, to sizes: `{"logs": "1G"}`. They are the
            last ones of the disk, in this order, and mounted at the directories of their names, `/logs`. A name has up to 16
            lower-case letters and digits. Updates don't change the partitions of a machine: one that was installed without a
            partition waits for it at each boot, and goes on without it.
        grub: the package with Debian's signed GRUB, such as `@packages//packages:grub-efi-amd64-signed`.
        healthy: units that must have started before the system confirms itself, which starts them, too. The default is
            reached even if single services fail. A unit that the root tree doesn't have is an error of the build. When a service
            has started depends on its `Type`: `oneshot`, when its program has ended with success; `notify`, when the program
            says that it is ready; `simple` and `exec`, when the program runs, whatever it does next. The first two say the most.
            A unit that a condition of its own skips counts as started.
        healthy_seconds: how long each unit of `healthy` must then be active without a restart, from 0 to 3600; 0 takes the
            state at that moment. A service that crashes and that systemd starts again has six times as long to get there.
            A `oneshot` that is done needs no time. The system on trial waits for it, and no other one; a reboot in this time is
            one into the old system. If a unit is not healthy, the console and the journal name it.
        kernel_arguments: arguments of the kernel.
        modules: kernel modules that are loaded before the root is mounted.
        rollback_index: the rollback index, in the root and in the update image, from 0 to 2^32 - 1. A machine refuses update images
            with a lower one than a system that it has confirmed, whatever their version. Raise it with a release that mends a
            flaw of earlier ones.
        root_files_size: size of the file system of the root; the rest of `root_size` is for its hash tree.
        root_size: size of each root partition.
        root_type: file system of the root, `ext4` or `erofs`. EROFS takes less space, and the kernel has to have it as a
            module.
        secure_boot: own keys for Secure Boot, from `own_keys`, instead of `grub` and `shim`.
        shim: the package with Debian's signed shim, such as `@packages//packages:shim-signed`.
        signing_key: private key, a PEM file, that signs the update image: the private half of one of `keys`. A filegroup of
            several keys makes a signature by each, for machines with different `keys`.
        srcs: targets of rules_pkg whose files are in the root tree; see `rootfs_tree`.
        strip_paths: patterns of paths to leave out of the root tree; see `rootfs_tree`.
        symlinks: links of the root tree; see `rootfs_tree`.
        variant: variant of the product; updates of others are refused.
        visibility: of all targets.
        tags: of all targets.
        testonly: of all targets.
        **kwargs: further attributes of the root tree's `rootfs_tree`, such as `sysusers` and `passwords`. Its `check_units`
            is True by default.
    """
    common = {"tags": tags or [], "testonly": testonly, "visibility": visibility}
    sizes = struct(boot = boot_size, data = data_size, esp = esp_size, root = root_size, root_files = root_files_size)
    where = macro_label(name)
    of_the_tree = [attribute for attribute in ROOTFS_TREE_ATTRS if not attribute.startswith("_")]
    check_names(where, "ab_system", kwargs.keys(), COMMON_ATTRIBUTES + of_the_tree + _OWN_ATTRIBUTES)
    check_extra_partitions(where, extra_partitions, extra_partition_images)
    check_uuid(disk_guid, where + ": disk_guid")
    if bool(secure_boot) == bool(grub) or bool(secure_boot) == bool(shim):
        fail("%s: the boot loader: give either secure_boot, or both grub and shim" % where)
    for partition, size in {"boot": sizes.boot, "data": sizes.data, "esp": sizes.esp, "root": sizes.root, "root_files": sizes.root_files}.items():
        parse_size(size, "%s: %s_size" % (where, partition), _BLOCK)
    if root_type not in _ROOT_TYPES:
        fail("%s: root_type: %r is not a file system of the root; give %s" % (where, root_type, " or ".join(_ROOT_TYPES)))
    check_types(where, "dict", {"extra_files": extra_files, "symlinks": symlinks})
    check_types(where, "list", {"layers": layers, "modules": modules, "srcs": srcs, "strip_paths": strip_paths})
    check_types(where, "list", {"keys": keys}, configurable = False)
    check_types(where, "int", {"rollback_index": rollback_index}, configurable = False)
    _check_healthy(where, healthy, healthy_seconds)
    if rollback_index < 0 or rollback_index > _MOST_INDEX:
        fail("%s: rollback_index: %d is not a rollback index; write a number from 0 to %d" % (where, rollback_index, _MOST_INDEX))

    def uuid(number):
        return "%s%x" % (disk_guid[:-1], (int(disk_guid[-1], 16) + number) % 16)

    layout = name + ".partitions.csv"
    _text_file(name = layout, lines = _layout(sizes) + extra_rows(extra_partitions), **common)
    required_units = {where + ": healthy": healthy} | kwargs.pop("required_units", {})
    executables = _UPDATE_PROGRAMS + kwargs.pop("executables", [])
    tree = {"check_units": True, "executables": executables, "layers": layers, "required_units": required_units} | kwargs
    identity = {
        "product": product,
        "rollback_index": rollback_index,
        "trust": "own_keys" if secure_boot else "distribution",
        "variant": variant,
    }
    _tree(name, healthy, healthy_seconds, extra_partitions.keys(), identity, keys, version_file, srcs, extra_files, strip_paths, symlinks, common, tree)
    _slot(name, disk_guid, kernel_arguments, modules, product, root_type, secure_boot, sizes, layers, uuid, common)
    _loader(name, disk_guid, grub, shim, secure_boot, sizes, common)
    if data == None:
        data = name + ".data"
        ext4_image(
            name = data,
            journal = True,
            label = "data",
            partition_size = data_size,
            size_attribute = where + ": data_size",
            uuid = uuid(4),
            **common
        )
    disk_image(
        name = name,
        disk_guid = disk_guid,
        layout = layout,
        partitions = {
            "A_boot": name + ".boot",
            "A_root": name + ".root",
            "data": data,
            "esp": name + ".esp",
        } | extra_images(name, where, extra_partitions, extra_partition_images, uuid, common),
        **common
    )
    raw_disk(name = name + ".img", disk = name + ".tar", **common)
    variables = name + ".enroll" if secure_boot and secure_boot.ovmf_template else None
    vm_launcher(name = name + ".launch", disk = name + ".tar", firmware_variables = variables, **common)
    if signing_key:
        upgrade_image(
            name = name + ".update",
            boot_partition = name + ".boot",
            disk_guid = disk_guid,
            layout = layout,
            public_keys = keys,
            root_partition = name + ".root",
            signing_key = signing_key,
            version_file = version_file,
            **(identity | common)
        )
