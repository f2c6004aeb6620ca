"""Which files are programs, and their runfiles.

Bazel gives all outputs of actions the same mode, so a mode on the build machine says nothing. What a rule declares as its
executable is a program.
"""

ExecutablesInfo = provider(
    doc = "The programs among the files of a target and its sources.",
    fields = {
        "files": "Depset of Files.",
        "without_mode": "Depset of labels, as strings, of pkg_files that state no mode; their provider has one anyway.",
    },
)

def executable_of(target):
    """Returns the executable of a target whose rule makes programs, else None."""
    program = target[DefaultInfo].files_to_run

    # Bazel calls every file, and the one file of a filegroup, its own executable. Only programs have a manifest.
    return program.executable if program and program.runfiles_manifest else None

def programs_of(target):
    """Returns the programs among the files of a target and its sources, as a dict of Files to None."""
    files = target[ExecutablesInfo].files.to_list() if ExecutablesInfo in target else []
    return {file: None for file in files}

def pkg_files_without_mode(target):
    """Returns the labels of the pkg_files in a target that state no mode, as a dict of strings to None."""
    labels = target[ExecutablesInfo].without_mode.to_list() if ExecutablesInfo in target else []
    return {label: None for label in labels}

def _executables_aspect_impl(target, ctx):
    sources = getattr(ctx.rule.attr, "srcs", [])
    below = [
        source[ExecutablesInfo]
        for source in (sources if type(sources) == "list" else [])
        if ExecutablesInfo in source
    ]
    own = executable_of(target)
    if ctx.rule.kind == "genrule" and ctx.rule.attr.executable:
        own = target[DefaultInfo].files_to_run.executable
    without_mode = ctx.rule.kind == "pkg_files" and "mode" not in json.decode(ctx.rule.attr.attributes or "{}")
    return [ExecutablesInfo(
        files = depset([own] if own else [], transitive = [info.files for info in below]),
        without_mode = depset(
            [str(target.label)] if without_mode else [],
            transitive = [info.without_mode for info in below],
        ),
    )]

executables_aspect = aspect(
    implementation = _executables_aspect_impl,
    attr_aspects = ["srcs"],
    doc = "Finds the programs among the files of targets, such as filegroups and those of rules_pkg.",
    provides = [ExecutablesInfo],
)

def runfiles_entries(target, path, workspace):
    """Returns the entries of a program's runfiles, in the directory `PATH.runfiles`; none if there is only the program.

    Args:
        target: of the program.
        path: of the program in the tree.
        workspace: name of the main repository in runfiles.
    """
    runfiles = target[DefaultInfo].default_runfiles
    files = {_place(file.short_path, workspace): file for file in runfiles.files.to_list()}
    files |= {workspace + "/" + link.path: link.target_file for link in runfiles.symlinks.to_list()}
    files |= {link.path: link.target_file for link in runfiles.root_symlinks.to_list()}
    if files.values() == [target[DefaultInfo].files_to_run.executable] and not runfiles.empty_filenames:
        return []
    mapping = getattr(target[DefaultInfo].files_to_run, "repo_mapping_manifest", None)
    if mapping:
        files["_repo_mapping"] = mapping
    entries = [
        {"mode": "0755", "path": "%s.runfiles/%s" % (path, place), "source": file} |
        ({"type": "files"} if file.is_directory else {})
        for place, file in files.items()
    ]
    return entries + [
        {"path": "%s.runfiles/%s" % (path, _place(name, workspace))}
        for name in runfiles.empty_filenames.to_list()
    ]

def _place(short_path, workspace):
    return short_path[len("../"):] if short_path.startswith("../") else workspace + "/" + short_path
