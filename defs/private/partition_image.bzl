"""The common part of the rules that make images of partitions."""

load("//defs/private:command_action.bzl", "command_action", "worker_requirements")
load("//defs/private:compression.bzl", "compressed_part")
load("//defs/private:executables.bzl", "executables_aspect")
load("//defs/private:image_groups.bzl", "EXPORT_ATTRS", "export_image", "partition_groups", "tar_of_recipe")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:rootfs_info.bzl", "RootfsInfo", "rootfs_arguments", "strip_spec")
load("//defs/private:rootfs_tree.bzl", "entries_layer", "extra_file_entries")
load("//defs/private:sbom.bzl", "SBOM_ATTRS", "image_contents", "sbom_outputs")
load("//defs/private:size.bzl", "SECTOR", "parse_size")

TREE_ATTRS = EXPORT_ATTRS | SBOM_ATTRS | {
    "extra_files": attr.label_keyed_string_dict(
        allow_files = True,
        aspects = [executables_aspect],
        doc = "Dict of files that are added to `src` to their paths in the image: `PATH` or `PATH:MODE`, with an octal " +
              "mode; see rootfs_tree. The paths do not include `subdir`.",
    ),
    "include_runfiles": attr.bool(doc = "Whether the runfiles of programs in `extra_files` are added; see rootfs_tree."),
    "mtime": attr.int(doc = "Modification time of every file, in seconds since the epoch."),
    "partition_size": attr.string(
        doc = "Size of the file system, in bytes or with K, M, G or T for a power of 1024.",
        mandatory = True,
    ),
    "size_attribute": attr.string(
        doc = "What sets `partition_size`, for messages: the label and attribute of a macro, such as " +
              "`//app:disk: root_files_size`. By default `partition_size` of this target.",
    ),
    "src": attr.label(doc = "The root tree, a rootfs_tree; empty by default.", providers = [RootfsInfo]),
    "strip_paths": attr.string_list(doc = "Patterns of paths of `src` to leave out; see rootfs_tree."),
    "subdir": attr.string(doc = "Directory of `src` that becomes the root of the image, such as `boot`."),
}

CONTEXTS_ATTRS = {
    "file_contexts": attr.label_list(
        allow_files = True,
        doc = "Files of SELinux labels: file_contexts and its additions, in this order. Paths are looked up as in " +
              "the running system, so the paths of an image with `subdir` begin with that. No labels by default.",
    ),
    "file_contexts_subs": attr.label(
        allow_single_file = True,
        doc = "File of path substitutions for the lookup, such as file_contexts.subs_dist.",
    ),
}

def partition_image(ctx, tool, mnemonic, parameters, inputs = [], resources = None, unit = SECTOR, sized = True, recipe = False):
    """Declares the action that writes a root tree into the image of a file system.

    Args:
        ctx: of a rule with TREE_ATTRS and COMPRESS_ATTRS.
        tool: executable that reads a JSON spec.
        mnemonic: of the action.
        parameters: dict of the spec's keys besides tree, size and output.
        inputs: files that the parameters name.
        resources: function for what Bazel reserves for the action; by default what it reserves for any.
        unit: bytes of which the size must be a multiple.
        sized: whether `partition_size` must not be empty; without it the image is as large as the tool makes it.
        recipe: whether the action writes a recipe of the image, of which the tar is made where it is asked for. That is for
            file systems that have the contents of files as they are. The rule has an attribute `base` then.

    Returns:
        The rule's providers.
    """
    size_attribute = ctx.attr.size_attribute or "%s: partition_size" % ctx.label
    size = None
    if ctx.attr.partition_size or sized:
        size = parse_size(ctx.attr.partition_size, size_attribute, unit)
    rootfs = ctx.attr.src[RootfsInfo] if ctx.attr.src else None
    tree = rootfs_arguments(rootfs, ctx.attr.subdir, strip_spec(ctx), ctx.attr.mtime) if rootfs else {
        "layers": [],
        "mtime": ctx.attr.mtime,
    }
    entries = [
        dict(entry, path = ctx.attr.subdir + "/" + entry["path"])
        for entry in extra_file_entries(ctx.attr.extra_files, ctx.label, ctx.workspace_name if ctx.attr.include_runfiles else None)
    ]
    tree["layers"] = tree["layers"] + entries_layer(ctx.label, entries)
    files = depset([entry["source"] for entry in entries if "source" in entry], transitive = [rootfs.inputs] if rootfs else [])
    parameters = parameters | {"size": size, "size_attribute": size_attribute if size != None else None}
    action = struct(inputs = inputs, mnemonic = mnemonic, parameters = parameters, resources = resources, tool = tool)
    contents = image_contents(tree, files, rootfs.locks if rootfs else depset()) if tree["layers"] else None
    if not recipe:
        made = _image_action(ctx, action, tree, files)
        return partition_providers(ctx, made.image, size, contents, size_attribute, made.digests)
    made = _image_action(ctx, action, tree, files, recipe = True)
    tar = tar_of_recipe(ctx, made.recipe, made.sources, ".img")
    below = _base_tree(ctx, tree)
    base = _image_action(ctx, action, below.tree, below.files, ".base", recipe = True) if below else None
    return partition_providers(ctx, tar, size, contents, size_attribute, made.digests, recipe = made.recipe, sources = made.sources, base = base)

def _image_action(ctx, action, tree, files, suffix = "", recipe = False):
    """Declares the action that writes an image.

    Args:
        ctx: of the rule.
        action: struct of what is the same for each tree; see `partition_image`.
        tree: dict, the part of the spec that describes the tree.
        files: depset of Files that `tree` names.
        suffix: of the name of the image, after that of the target.
        recipe: whether to write a recipe.

    Returns:
        Struct with the digests, and with the image, or its recipe and the sources of that.
    """
    name = ctx.label.name + suffix
    output = ctx.actions.declare_file(name + (".img.recipe" if recipe else ".img.tar"))
    digests = ctx.actions.declare_file(name + ".digests.json")
    named = files.to_list()
    sources = named if recipe else []
    spec = tree | action.parameters | {
        "digests": digests,
        "member": name + ".img",
        "output": output,
        "recipe": recipe or None,
        "source": sources or None,
    }
    command_action(
        ctx,
        action.mnemonic,
        action.tool,
        spec,
        depset(action.inputs, transitive = [files]),
        [output, digests],
        requirements = worker_requirements(action.mnemonic, named),
        resources = action.resources,
    )
    return struct(
        digests = digests,
        image = None if recipe else output,
        recipe = output if recipe else None,
        sources = sources,
    )

def _base_tree(ctx, tree):
    """Returns a struct with what of a tree changes less often than the whole, and the Files that it names; None if there is nothing.

    Args:
        ctx: of a rule with an attribute `base`.
        tree: dict, the part of the spec that describes the whole tree.
    """
    if ctx.attr.base:
        layers, files = ctx.attr.base[RootfsInfo].layers, ctx.attr.base[RootfsInfo].inputs
    elif len(tree["layers"]) > 1 and "archive" in tree["layers"][0]:
        layers, files = tree["layers"][:1], depset([tree["layers"][0]["archive"]])
    else:
        return None
    common = {key: tree[key] for key in ("mtime", "strip", "subdir") if key in tree}
    return struct(files = files, tree = common | {"layers": layers, "partial": True})

def partition_providers(ctx, output, size, contents = None, size_attribute = None, digests = None, groups = {}, recipe = None, sources = [], base = None):
    """Returns the providers of a rule that makes the image of a partition.

    Args:
        ctx: of a rule with COMPRESS_ATTRS and EXPORT_ATTRS.
        output: File, a tar whose one member is the image.
        size: of the image, in bytes; None if it is not known before it is built.
        contents: what a bill of materials of it lists, of `image_contents`; None if it has no files.
        size_attribute: what sets the size, for messages; by default `partition_size` of the target.
        digests: File with the SHA-256 of each MiB of the image, or None.
        groups: dict of further output groups to depsets of Files.
        recipe: File, the recipe of the image, or None.
        sources: list of Files that the recipe has ranges of.
        base: struct with the digests, recipe and sources of an image with much of the same data, or None.
    """
    parts = [compressed_part(ctx, output, digests, recipe = recipe, sources = sources, base = base)]
    listing = export_image(ctx, ".mtree", parts) if contents else None
    sbom = sbom_outputs(ctx, {"": contents}) if contents else None
    return [
        DefaultInfo(files = depset([output])),
        OutputGroupInfo(**(groups | partition_groups(ctx, parts, listing, sbom))),
        PartitionInfo(
            contents = contents,
            listing = listing,
            parts = parts,
            size = size,
            size_attribute = size_attribute or "%s: partition_size" % ctx.label,
            verity = None,
        ),
    ]
