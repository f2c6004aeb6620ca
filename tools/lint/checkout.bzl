"""The files of this checkout as inputs of lint tests, whatever targets they belong to.

A file that no target names would escape a check that goes by targets, so the checkout itself is listed. The repository
holds a link to every file that some check reads; Bazel runs the rule again when a folder's entries change, and a test
again when a file that it reads does. So the tests are like others: cached, sandboxed, with all inputs declared.

Links are named as the file with `.file` at the end: a name such as BUILD.bazel would make a package of its own.
"""

_SUFFIX = ".file"

_MAX_DEPTH = 100

# Hidden folders belong to programs, but for these.
_HIDDEN_FOLDERS = [".ci"]

_CONFIGURATION = [".editorconfig", ".shellcheckrc", "pyproject.toml"]
_STARLARK = ["BUILD", "BUILD.bazel", "MODULE.bazel", "REPO.bazel", "WORKSPACE", "WORKSPACE.bazel", "WORKSPACE.bzlmod"]

# By the last part of a name; names without a dot are told by their first line.
_KINDS = {
    "bash": "shell",
    "bzl": "starlark",
    "py": "python",
    "sh": "shell",
}

def _checkout_repository_impl(rctx):
    root = rctx.path(Label("//:MODULE.bazel")).realpath.dirname
    ignored = _read_ignored(rctx.read(root.get_child(".gitignore")))
    index = {kind: [] for kind in ["configuration", "python", "shell", "starlark"]}
    folders = [(root, "")]
    for _ in range(_MAX_DEPTH):
        further = []
        for folder, prefix in folders:
            for entry in folder.readdir(watch = "yes"):
                path = prefix + entry.basename

                # What a symbolic link points to is listed where it is, or lies outside of the checkout.
                if entry.realpath != entry or _is_ignored(ignored, path, entry.basename):
                    continue
                if entry.is_dir:
                    if not entry.basename.startswith(".") or path in _HIDDEN_FOLDERS:
                        further.append((entry, path + "/"))
                    continue
                kind = _kind(rctx, entry, path)
                if kind:
                    index[kind].append(path)
                    rctx.symlink(entry, path + _SUFFIX)
        folders = further
    if folders:
        fail("%s: folders are nested more than %d deep" % (folders[0][1], _MAX_DEPTH))
    index = {kind: sorted(paths) for kind, paths in index.items()}
    rctx.file("index.json", json.encode_indent(index) + "\n")
    rctx.file("BUILD.bazel", _build_file(index))

def _build_file(index):
    lines = ['package(default_visibility = ["//visibility:public"])', 'exports_files(["index.json"])']
    for kind, paths in index.items():
        lines.append("filegroup(\n    name = %r,\n    srcs = %r,\n)" % (kind, [path + _SUFFIX for path in paths]))
    return "\n\n".join(lines) + "\n"

def _kind(rctx, file, path):
    """Returns the kind of a file, or None for one that no check reads."""
    if path in _CONFIGURATION:
        return "configuration"
    if file.basename in _STARLARK:
        return "starlark"
    stem, _, suffix = file.basename.rpartition(".")
    if stem:
        return _KINDS.get(suffix)
    first = rctx.read(file, watch = "yes").partition("\n")[0]
    if not first.startswith("#!"):
        return None
    program = first.removeprefix("#!").strip().removeprefix("/usr/bin/env").split(" ")
    program = [word for word in program if word and not word.startswith("-")]
    name = program[0].rpartition("/")[2] if program else ""
    if name in ("bash", "dash", "sh"):
        return "shell"
    return "python" if name.startswith("python") else None

def _read_ignored(gitignore):
    """Returns the patterns of a .gitignore: names and paths, with at most a `*` at the end."""
    patterns = []
    for line in gitignore.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        pattern = line.strip("/")
        name = pattern.removesuffix("*")
        if [c for c in "*?[!\\".elems() if c in name]:
            fail(".gitignore: %s: only a * at the end is understood by tools/lint/checkout.bzl; extend it" % line)
        patterns.append(struct(
            anchored = "/" in line.removesuffix("/"),
            name = name,
            prefix = pattern.endswith("*"),
        ))
    return patterns

def _is_ignored(patterns, path, name):
    for pattern in patterns:
        subject = path if pattern.anchored else name
        if subject == pattern.name or (pattern.prefix and subject.startswith(pattern.name)):
            return True
    return False

checkout_repository = repository_rule(
    implementation = _checkout_repository_impl,
    doc = "Links to the checkout's files: a filegroup for each kind, and index.json with the paths by kind.",
)
