"""The rule rootfs_tree."""

load(
    "@rules_pkg//pkg:providers.bzl",
    "PackageDirsInfo",
    "PackageFilegroupInfo",
    "PackageFilesInfo",
    "PackageSymlinkInfo",
)
load("//defs/private:architecture.bzl", "ARCHITECTURE_ATTRS", "image_architecture")
load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:debian_providers.bzl", "DebianInstalledInfo")
load("//defs/private:executables.bzl", "executable_of", "executables_aspect", "pkg_files_without_mode", "programs_of", "runfiles_entries")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:json_spec.bzl", "command_args")
load("//defs/private:rootfs_info.bzl", "RootfsInfo", "rootfs_arguments", "strip_spec")
load("//defs/private:sbom.bzl", "SBOM_ATTRS", "image_contents", "sbom_outputs")

_COMPRESSED = [".tar.gz", ".tgz", ".tar.zst", ".tar.xz"]
_EXECUTABLE = "0755"
_METADATA = ["capabilities", "owners", "xattrs"]

_PACKAGE_PROVIDERS = [[PackageFilegroupInfo], [PackageFilesInfo], [PackageDirsInfo], [PackageSymlinkInfo]]

def _metadata(attributes, label):
    """Returns the mode and owner of an entry, from the attributes of a provider of rules_pkg; `label` is that of its target."""
    for name, number in (("user", "uid"), ("group", "gid")):
        if attributes.get(name, "root") not in ("root", None) and attributes.get(number) == None:
            fail("%s: %s %r is a name; an image needs a number, so set %s" % (label, name, attributes[name], number))
    return {
        "gid": int(attributes.get("gid") or 0),
        "mode": attributes.get("mode") or None,
        "uid": int(attributes.get("uid") or 0),
    }

def _file_entries(info, label, target):
    """Returns the entries of a pkg_files, of its PackageFilesInfo and label; the `target` of `srcs` is or contains it."""
    metadata = _metadata(info.attributes, label)
    programs = programs_of(target)
    without_mode = str(label) in pkg_files_without_mode(target)
    return [
        dict(metadata, **_file_entry(
            source,
            path,
            None if without_mode and source in programs else metadata["mode"],
            source in programs,
        ))
        for path, source in info.dest_src_map.items()
    ]

def _file_entry(file, path, mode, executable):
    """Returns the entry of a file, or of all files in a directory that an action makes.

    `mode` is in octal digits, or None for that of a file of its kind.
    """
    mode = mode or (_EXECUTABLE if executable else None)
    if file.is_directory:
        return {"mode": mode, "path": path, "source": file, "type": "files"}
    return {"mode": mode, "path": path, "source": file}

def _directory_entries(info, label):
    metadata = _metadata(info.attributes, label)
    return [dict(metadata, path = path, type = "directory") for path in info.dirs]

def _symlink_entries(info, label):
    metadata = _metadata(info.attributes, label)
    metadata.pop("mode")
    return [dict(metadata, path = info.destination, target = info.target, type = "symlink")]

def _package_entries(target):
    """Returns the entries that a target of rules_pkg describes."""
    entries = []
    if PackageFilegroupInfo in target:
        group = target[PackageFilegroupInfo]
        for info, label in group.pkg_dirs:
            entries += _directory_entries(info, label)
        for info, label in group.pkg_files:
            entries += _file_entries(info, label, target)
        for info, label in group.pkg_symlinks:
            entries += _symlink_entries(info, label)
    if PackageDirsInfo in target:
        entries += _directory_entries(target[PackageDirsInfo], target.label)
    if PackageFilesInfo in target:
        entries += _file_entries(target[PackageFilesInfo], target.label, target)
    if PackageSymlinkInfo in target:
        entries += _symlink_entries(target[PackageSymlinkInfo], target.label)
    return entries

def extra_file_entries(extra_files, label, runfiles_prefix = None):
    """Returns the entries of an attribute `extra_files`.

    Args:
        extra_files: dict of targets, each a program or one file or directory, to `PATH` or `PATH:MODE`.
        label: of the target that has the attribute, for messages.
        runfiles_prefix: name of the main repository in runfiles; None if the runfiles of programs are left out.
    """
    entries = []
    for target, place in extra_files.items():
        program = executable_of(target)
        files = [program] if program else target[DefaultInfo].files.to_list()
        if len(files) != 1:
            fail("%s: extra_files: %s has %d files; choose one for %s, as by a filegroup" % (label, target.label, len(files), place))
        path, _, mode = place.partition(":")
        if not path.strip("/") and not files[0].is_directory:
            fail("%s: extra_files: %s: %r has no path; write PATH or PATH:MODE" % (label, target.label, place))
        if mode.strip("01234567") or len(mode) > 4:
            fail("%s: extra_files: %s: %r has the mode %r; write up to four octal digits, such as 0755" % (label, target.label, place, mode))
        entries.append(_file_entry(files[0], path, mode, files[0] in programs_of(target)))
        if program and runfiles_prefix:
            entries += runfiles_entries(target, path, runfiles_prefix)
    return entries

def entries_layer(label, entries, overrides = [], directories = "same", metadata = None):
    """Returns a list with one layer of entries, or the empty list if there are neither entries nor metadata.

    Args:
        label: of the target that has the entries, for messages.
        entries: list of dicts, each an `Entry` of tools/rootfs/tree_spec.py.
        overrides: see rootfs_tree.
        directories: see rootfs_tree.
        metadata: dict, a `MetadataSpec` of tools/rootfs/tree_spec.py, or None.
    """
    if not entries and not metadata:
        return []
    return [{
        "directories": directories,
        "entries": entries,
        "label": str(label),
        "metadata": metadata,
        "overrides": overrides,
    }]

def _oci_root(ctx, layout):
    """Returns a tar with the root tree of an OCI image, which is a directory."""
    output = _layer_output(ctx, layout)
    args = command_args(ctx, architecture = image_architecture(ctx), layout = layout, output = output)
    command_action(ctx, "OciRoot", ctx.executable._oci_root, args, [layout], [output], "Reading the OCI image %{input}")
    return output

def _layer_output(ctx, archive):
    """Returns the file that an uncompressed layer is written to."""
    return ctx.actions.declare_file("%s.layers/%s.tar" % (ctx.label.name, archive.short_path.replace("../", "external/")))

def _plain_archive(ctx, archive, label):
    """Returns a layer's archive as an uncompressed tar. Its suffix says whether it is compressed; a directory has an OCI image."""
    if archive.is_directory:
        return _oci_root(ctx, archive)
    if archive.basename.endswith(".tar"):
        return archive
    if not [suffix for suffix in _COMPRESSED if archive.basename.endswith(suffix)]:
        fail("%s: layers: %s of %s is no .tar; give a rootfs_tree, a directory with an OCI image, or a tar: .tar, %s" % (ctx.label, archive.basename, label, ", ".join(_COMPRESSED)))
    output = _layer_output(ctx, archive)
    args = command_args(ctx, input = archive, output = output)
    command_action(ctx, "DecompressLayer", ctx.executable._decompress, args, [archive], [output], "Decompressing %{input}")
    return output

def _rootfs_tree_impl(ctx):
    layers, inputs, locks, accounts, executables, strip_paths, units = [], [], [], None, [], [], []
    for target in ctx.attr.layers:
        if RootfsInfo in target:
            below = target[RootfsInfo]
            layers += below.layers
            inputs.append(below.inputs)
            locks.append(below.locks)
            executables += below.executables
            strip_paths += below.strip_paths
            units += below.units
            accounts = below.accounts or accounts
            continue
        if DebianInstalledInfo in target:
            locks.append(target[DebianInstalledInfo].locks)
        archives = target[DefaultInfo].files.to_list()
        if not archives:
            fail("%s: layers: %s is no rootfs_tree and has no files; give a rootfs_tree or a .tar" % (ctx.label, target.label))
        for archive in archives:
            archive = _plain_archive(ctx, archive, target.label)
            layers.append({"archive": archive, "directories": ctx.attr.directories, "label": str(target.label)})
            inputs.append(depset([archive]))
    runfiles_prefix = ctx.workspace_name if ctx.attr.include_runfiles else None
    entries = extra_file_entries(ctx.attr.extra_files, ctx.label, runfiles_prefix)
    for target in ctx.attr.srcs:
        entries += _package_entries(target)
    entries += [{"path": path, "target": link, "type": "symlink"} for path, link in ctx.attr.symlinks.items()]
    metadata = {name: getattr(ctx.attr, name) for name in _METADATA if getattr(ctx.attr, name)}
    layers += entries_layer(ctx.label, entries, ctx.attr.overrides, ctx.attr.directories, metadata or None)
    inputs.append(depset([entry["source"] for entry in entries if "source" in entry]))
    if ctx.attr.sysusers or ctx.attr.passwords:
        accounts = {"label": str(ctx.label), "passwords": ctx.attr.passwords, "sysusers": ctx.attr.sysusers}
    if ctx.attr.executables:
        executables.append({"architecture": image_architecture(ctx), "paths": ctx.attr.executables})
    if ctx.attr.check_units or ctx.attr.required_units:
        units.append({
            "architecture": image_architecture(ctx) if ctx.attr.check_units else None,
            "own": ctx.attr.check_units,
            "required": ctx.attr.required_units,
        })
    info = RootfsInfo(
        accounts = accounts,
        executables = executables,
        inputs = depset(transitive = inputs),
        layers = layers,
        locks = depset(transitive = locks),
        strip_paths = strip_paths + strip_spec(ctx),
        units = units,
    )
    contents = image_contents(rootfs_arguments(info), info.inputs, info.locks)
    return [info, OutputGroupInfo(sbom = sbom_outputs(ctx, {"": contents}))]

# What a user of rootfs_tree sets, besides the attributes of all rules.
ROOTFS_TREE_ATTRS = {
    "architecture": attr.string(
        doc = "Architecture of `executables` and of OCI images in `layers`, as uname(1) names it; by default that of " +
              "the target platform.",
    ),
    "capabilities": attr.string_dict(
        doc = "Dict of patterns of files to their capabilities, in the form of setcap(8): " +
              "`{\"/usr/bin/ping\": \"cap_net_raw=ep\"}`. `[rootid=UID]` after it limits them to a user namespace. " +
              "Like `owners` and `xattrs` it counts for the paths of this tree and of its `layers`; what a tree on " +
              "top puts in the place of a file has its own. A pattern that matches no path is an error.",
    ),
    "check_units": attr.bool(
        doc = "Whether the systemd units and links of `srcs`, `extra_files` and `symlinks`, of this tree and of those in " +
              "`layers`, are checked when an image of the tree is built: a link such as " +
              "`etc/systemd/system/multi-user.target.wants/a.service` has to enable a unit of the tree, and the " +
              "programs of units, `ExecStart=` and the like, have to start, as those of `executables`. Not checked are " +
              "units that may come from elsewhere, such as mounts, and programs that may be missing: with `-` before " +
              "the path, with a condition on it, or in directories of other file systems, such as `/var`.",
    ),
    "directories": attr.string(
        default = "same",
        doc = "How to treat directories whose mode or owner differs in this target's layer and in a lower one: " +
              "`same` is an error, `keep` keeps the lower one's, `replace` uses this target's.",
        values = ["same", "keep", "replace"],
    ),
    "executables": attr.string_list(
        doc = "Patterns of programs that are checked when an image of the tree is built, such as `/opt/bin/*`. Each " +
              "has to be executable, and a script whose interpreter the tree has, or an ELF file of `architecture` " +
              "whose dynamic linker and shared libraries it has. A pattern without `*`, `?` and `[` must match.",
    ),
    "extra_files": attr.label_keyed_string_dict(
        allow_files = True,
        aspects = [executables_aspect],
        doc = "Dict of files to their paths: `PATH` or `PATH:MODE`, with an octal mode. By default, a program (the " +
              "executable of a target such as a cc_binary) has 0755, any other file 0644. Of a directory that an " +
              "action makes, all files are below PATH, with that mode.",
    ),
    "include_runfiles": attr.bool(
        doc = "Whether the runfiles of programs in `extra_files` are added, in the directory `PATH.runfiles`. Bazel " +
              "doesn't know which of them are programs, so all have the mode 0755.",
    ),
    "layers": attr.label_list(
        # Without file types: a tree provides RootfsInfo and no files, so the implementation checks for `.tar`.
        allow_files = True,
        doc = "The lower layers: other trees, tars (.tar, .tar.gz, .tgz, .tar.zst, .tar.xz), or OCI images; later " +
              "ones on top. An OCI image is a directory that an action makes, such as an `oci_image` of rules_oci, " +
              "in the OCI image layout. The image's layers become one, with their whiteouts applied; of several " +
              "images that for `architecture` on Linux is taken. All digests are checked.",
    ),
    "overrides": attr.string_list(
        doc = "Patterns for paths of `srcs`, `extra_files` and `symlinks` that may replace paths of lower layers. A " +
              "pattern that matches no path is an error.",
    ),
    "owners": attr.string_dict(
        doc = "Dict of patterns of paths to their owners, `UID:GID` with numbers: `{\"/srv/**\": \"1000:1000\"}`; `**` " +
              "stands for any number of directories. See `capabilities`.",
    ),
    "passwords": attr.string_dict(
        doc = "Dict of accounts to passwords in clear text, for images such as those for development.",
    ),
    "required_units": attr.string_list_dict(
        doc = "Dict of what needs systemd units, as messages name it, to names of units that the tree must have when an " +
              "image of it is built: `{\"the health check\": [\"nginx.service\", \"getty@tty1.service\"]}`.",
    ),
    "srcs": attr.label_list(
        aspects = [executables_aspect],
        doc = "Files, directories and links, as targets of rules_pkg: pkg_files, pkg_mkdirs, pkg_mklink, " +
              "pkg_filegroup. Owners are numbers (uid, gid), root by default. Without a mode, programs have 0755, and " +
              "other files 0644, as in `extra_files`.",
        providers = _PACKAGE_PROVIDERS,
    ),
    "strip_paths": attr.string_list(
        doc = "Patterns of paths to leave out of the complete tree: `/usr/share/doc` with its content, `/run/*` " +
              "without the directory itself. A pattern without `*`, `?` and `[` must match.",
    ),
    "symlinks": attr.string_dict(doc = "Dict of paths of symbolic links to their targets."),
    "sysusers": attr.string_list(
        doc = "Paths in the tree of files in the format of sysusers.d(5), such as `usr/lib/sysusers.d/app.conf`, whose accounts " +
              "are added to /etc/passwd, /etc/group and /etc/shadow.",
    ),
    "_oci_root": attr.label(default = "//tools/commands:oci_root", executable = True, cfg = "exec"),
    "xattrs": attr.string_list_dict(
        doc = "Dict of patterns of paths to extended attributes, `NAME=VALUE`, with values as setfattr(1) takes " +
              "them: text, `0x` and hexadecimal, or `0s` and Base64. See `capabilities`; for SELinux labels, " +
              "`file_contexts` of ext4_image.",
    ),
    "_decompress": attr.label(default = "//tools/commands:decompress", executable = True, cfg = "exec"),
}

rootfs_tree = rule(
    implementation = _rootfs_tree_impl,
    doc = """A root tree in layers. It is a description; files are copied only into images.

If two layers have the same path, it must be equal in both, apart from its time. A difference is an error that names both
layers, unless the path is in `overrides`.

The output group `sbom` has bills of materials: `NAME.spdx.json` (SPDX 2.3) and `NAME.cdx.json` (CycloneDX 1.6).""",
    attrs = ARCHITECTURE_ATTRS | SBOM_ATTRS | ROOTFS_TREE_ATTRS,
    exec_compatible_with = LINUX,
    provides = [RootfsInfo],
)
