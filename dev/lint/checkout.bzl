"""The files of this checkout as inputs of lint tests, whatever targets they belong to.

A file that no target names would escape a check that goes by targets, so the checkout itself is listed. The repository
holds a link to every file; Bazel lists them again when a folder's entries change, and runs a test
again when a file that it reads does. So the tests are like others: cached, sandboxed, with all inputs declared.

Tests that build the checkout by a Bazel of their own, outside of any sandbox, have the same inputs: `files` is all of them,
`rules` all but the product's, which no other repository sees.

Links are named as the file with `.file` at the end: a name such as BUILD.bazel would make a package of its own.
"""

_SUFFIX = ".file"

_MAX_DEPTH = 100

_ALL_KINDS = ["configuration", "document", "python", "shell", "starlark"]

# In the index, all files of the checkout, of any kind or none.
_PATHS = "paths"

# Hidden folders belong to programs, but for these.
_HIDDEN_FOLDERS = [".bcr", ".ci", ".github"]

_CONFIGURATION = [".editorconfig", ".shellcheckrc", "pyproject.toml"]
_STARLARK = ["BUILD", "BUILD.bazel", "MODULE.bazel", "REPO.bazel", "WORKSPACE", "WORKSPACE.bazel", "WORKSPACE.bzlmod"]

# By the last part of a name; names without a dot are told by their first line.
_KINDS = {
    "adoc": "document",
    "bash": "shell",
    "bzl": "starlark",
    "md": "document",
    "py": "python",
    "sh": "shell",
}

def list_checkout(mctx):
    """Lists the checkout.

    The extension asks, since it asks again, from the root on, when a folder's entries change. A repository rule that
    watched folders would fail where one is gone: Bazel looks for it before it runs the rule again.

    Args:
        mctx: context of a module extension.

    Returns:
        the paths of the files by kind, and of all files as `paths`, for the attribute of the repository.
    """
    root = mctx.path(Label("//:MODULE.bazel")).realpath.dirname
    ignored = _ignored(mctx, root)
    index = {kind: [] for kind in _ALL_KINDS + [_PATHS]}
    folders = [(root, "")]
    for _ in range(_MAX_DEPTH):
        further = []
        for folder, prefix in folders:
            for entry in folder.readdir(watch = "yes"):
                path = prefix + entry.basename

                # What a symbolic link points to is listed where it is, or lies outside of the checkout.
                if not entry.exists or entry.realpath != entry or path in ignored:
                    continue
                if entry.basename == ".gitignore":
                    mctx.watch(entry)
                if entry.is_dir:
                    if not entry.basename.startswith(".") or path in _HIDDEN_FOLDERS:
                        further.append((entry, path + "/"))
                    continue
                index[_PATHS].append(path)
                kind = _kind(mctx, entry, path)
                if kind:
                    index[kind].append(path)
        folders = further
    if folders:
        fail("%s: folders are nested more than %d deep" % (folders[0][1], _MAX_DEPTH))
    return {kind: sorted(paths) for kind, paths in index.items()}

def _ignored(mctx, root):
    """Returns the paths of files and folders that git ignores; of none where there is no repository, as in a release."""
    if not root.get_child(".git").exists:
        return {}
    git = mctx.which("git")
    if not git:
        fail("git is missing, by which lint knows the files that are ignored: install it")
    command = [git, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"]
    done = mctx.execute(command, working_directory = str(root))
    if done.return_code:
        fail("%s: git can't say which files are ignored: %s" % (root, done.stderr.strip()))
    return {path.removesuffix("/"): None for path in done.stdout.split("\0") if path}

def _checkout_repository_impl(rctx):
    root = rctx.path(Label("//:MODULE.bazel")).realpath.dirname
    for path in rctx.attr.index[_PATHS]:
        rctx.symlink(root.get_child(path), path + _SUFFIX)
    rctx.file("index.json", json.encode_indent(rctx.attr.index) + "\n")
    rctx.file("BUILD.bazel", _build_file(rctx.attr.index))

def _build_file(index):
    lines = ['package(default_visibility = ["//visibility:public"])', 'exports_files(["index.json"])']
    groups = {kind: index[kind] for kind in _ALL_KINDS}
    groups["files"] = index[_PATHS]
    groups["rules"] = [path for path in index[_PATHS] if _is_of_rules(path)]
    for kind, paths in groups.items():
        files = [path + _SUFFIX for path in paths]
        lines.append("filegroup(\n    name = %r,\n    srcs = %r,\n)" % (kind, files))
    return "\n\n".join(lines) + "\n"

def _is_of_rules(path):
    """Returns whether another repository that uses the rules depends on a file: of the product, on its packages' names."""
    return not path.startswith("ic-os/") or path.endswith("/BUILD.bazel")

def _kind(mctx, file, path):
    """Returns the kind of a file, or None for one that no check reads."""
    if path in _CONFIGURATION:
        return "configuration"
    if file.basename in _STARLARK:
        return "starlark"
    stem, _, suffix = file.basename.rpartition(".")
    return _KINDS.get(suffix) if stem else _kind_of_program(mctx.read(file))

def _kind_of_program(text):
    """Returns the kind of a file that begins with `#!`, by its interpreter."""
    first = text.partition("\n")[0]
    if not first.startswith("#!"):
        return None
    words = first.removeprefix("#!").strip().removeprefix("/usr/bin/env").split(" ")
    words = [word.rpartition("/")[2] for word in words if word and not word.startswith("-")]
    if words and words[0] in ("bash", "dash", "sh"):
        return "shell"
    return "python" if words and words[0].startswith("python") else None

checkout_repository = repository_rule(
    implementation = _checkout_repository_impl,
    doc = "Links to the checkout's files: a filegroup for each kind, and index.json with the paths by kind, and of all files.",
    attrs = {"index": attr.string_list_dict(mandatory = True, doc = "Paths of the files by kind.")},
)
