"""Where the sizes of the GuestOS's partitions are, for messages."""

def size_attribute(name, file = "defs.bzl"):
    """Returns what sets the size of an image, for `size_attribute` of its rule.

    Args:
        name: of the image, which a macro declares in the package of its caller.
        file: the macro's file in ic-os/guestos.
    """
    return "//%s:%s: partition_size in ic-os/guestos/%s" % (native.package_name(), name, file)
