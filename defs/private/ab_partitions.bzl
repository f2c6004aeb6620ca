"""Further partitions of an ab_system, which both systems share and mount."""

load("//defs/private:attributes.bzl", "check_types")
load("//defs/private:ext4_image.bzl", "ext4_image")
load("//defs/private:size.bzl", "SECTOR", "parse_size")

# Bytes of a block of ext4, of which a partition has whole ones.
_BLOCK = 4096

_LETTERS = "abcdefghijklmnopqrstuvwxyz"

# Names in the partition table, and directories that the system has for itself.
_TAKEN = ["bin", "boot", "data", "dev", "esp", "etc", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"]

# The UUIDs of file systems differ in their last digit, which has 16 values; the system and `data` have 5 of them.
_MOST = 11

def check_extra_partitions(where, sizes, images):
    """Fails for names and sizes that partitions cannot have.

    Args:
        where: label of the system, for messages.
        sizes: dict of names to sizes.
        images: dict of names to labels of images.
    """
    check_types(where, "dict", {"extra_partition_images": images, "extra_partitions": sizes}, configurable = False)
    for name, size in sizes.items():
        if type(name) != "string" or not name or name[0] not in _LETTERS or name.strip(_LETTERS + "0123456789") or len(name) > 16:
            fail("%s: extra_partitions: %r is no name for one; write up to 16 lower-case letters and digits, a letter first" % (where, name))
        if name in _TAKEN:
            fail("%s: extra_partitions: %s is taken by the system; choose another name" % (where, name))
        parse_size(size, "%s: extra_partitions: %s" % (where, name), _BLOCK)
    if len(sizes) > _MOST:
        fail("%s: extra_partitions: has %d entries; %d are possible" % (where, len(sizes), _MOST))
    for name in images:
        if name not in sizes:
            fail("%s: extra_partition_images: %s is not in extra_partitions, which has the sizes; add it there" % (where, name))

def extra_rows(sizes):
    """Returns the rows of the layout for partitions, from a dict of their names to sizes."""
    return [
        "%s,,%s,linux,,size by extra_partitions: what both share at /%s" % (name, parse_size(size, "size") // SECTOR, name)
        for name, size in sizes.items()
    ]

def extra_images(name, where, sizes, images, uuid, common):
    """Declares `NAME.extra.PARTITION`, an empty file system, for each partition without an image; returns all images.

    Args:
        name: of the system.
        where: its label, for messages.
        sizes: dict of names of partitions to sizes.
        images: dict of names to labels of images.
        uuid: function that returns a UUID for a number.
        common: attributes of all targets.
    """
    found = {}
    for number, (partition, size) in enumerate(sizes.items(), 5):
        found[partition] = images.get(partition) or "%s.extra.%s" % (name, partition)
        if not images.get(partition):
            ext4_image(
                name = found[partition],
                journal = True,
                label = partition,
                partition_size = size,
                size_attribute = "%s: extra_partitions: %s" % (where, partition),
                uuid = uuid(number),
                **common
            )
    return found

def mount_lines(partition):
    """Returns the lines of the systemd unit that mounts a partition at the directory of its name."""
    return [
        "[Unit]",
        "Description=What both slots share in " + partition,
        "",
        "[Mount]",
        "What=/dev/disk/by-partlabel/" + partition,
        "Where=/" + partition,
        "",
        "[Install]",
        "WantedBy=local-fs.target",
    ]
