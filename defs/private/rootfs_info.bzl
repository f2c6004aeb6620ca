"""The provider of root trees."""

RootfsInfo = provider(
    doc = "A root tree: the description of the files of a root file system.",
    fields = {
        "accounts": "Dict: accounts to add, as in `AccountsSpec` of tools/rootfs/tree_spec.py, or None.",
        "executables": "List of dicts, each an `ExecutablesSpec` of tools/rootfs/tree_spec.py: programs to check.",
        "inputs": "Depset of Files that `layers` name.",
        "layers": "List of dicts, each a `LayerSpec` of tools/rootfs/tree_spec.py; later ones on top.",
        "locks": "Depset of Files: locks of Debian packages that are installed in the tree.",
        "strip_paths": "List of dicts, each a `StripSpec` of tools/rootfs/tree_spec.py: paths to leave out.",
        "units": "List of dicts, each a `UnitsSpec` of tools/rootfs/tree_spec.py: systemd units to check.",
    },
)

def strip_spec(ctx):
    """Returns a list with one `StripSpec` of tools/rootfs/tree_spec.py, or the empty list if there is nothing to leave out.

    Args:
        ctx: of a rule with an attribute `strip_paths`.
    """
    return [{"label": str(ctx.label), "paths": ctx.attr.strip_paths}] if ctx.attr.strip_paths else []

def rootfs_arguments(rootfs, subdir = "", strip_paths = [], mtime = 0):
    """Returns the part of a tool's JSON spec that describes the tree to write.

    Args:
        rootfs: RootfsInfo.
        subdir: directory of the tree that becomes the root.
        strip_paths: list of dicts of further paths to leave out, of `strip_spec`.
        mtime: modification time of every file, in seconds since the epoch.

    Returns:
        Dict: keys of `RootfsArguments` in tools/rootfs/tree_spec.py.
    """
    return {
        "accounts": rootfs.accounts,
        "executables": rootfs.executables or None,
        "layers": rootfs.layers,
        "mtime": mtime,
        "strip": (rootfs.strip_paths + strip_paths) or None,
        "subdir": subdir,
        "units": rootfs.units or None,
    }
