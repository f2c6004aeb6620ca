"""A test that builds a target twice, in different environments, and compares the bytes."""

load("//tools:python.bzl", "py_test")

# The environment of the second build's actions, if they use Bazel's.
_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "HOSTNAME": "another-host",
    "LANG": "tr_TR.UTF-8",
    "LOGNAME": "another-user",
    "PYTHONHASHSEED": "4711",
    "TZ": "Pacific/Kiritimati",
    "USER": "another-user",
}

_ACTION_ENV = "//command_line_option:action_env"
_HOST_ACTION_ENV = "//command_line_option:host_action_env"
_EXECUTION_INFO = "//command_line_option:modify_execution_info"

def _second_build_impl(_settings, _attr):
    environment = ["%s=%s" % entry for entry in _ENVIRONMENT.items()]
    return {
        _ACTION_ENV: environment,
        # With --experimental_output_paths=strip the actions of both builds would have the same key in a cache, so the
        # second build would not run them.
        _EXECUTION_INFO: [".*=-supports-path-mapping"],
        _HOST_ACTION_ENV: environment,
    }

_second_build = transition(
    implementation = _second_build_impl,
    inputs = [],
    outputs = [
        _ACTION_ENV,
        _EXECUTION_INFO,
        _HOST_ACTION_ENV,
    ],
)

def _two_builds_impl(ctx):
    first, second = ctx.files.first, ctx.files.second
    if not first:
        fail("%s: src: %s has no outputs to compare; give a target that builds files" % (ctx.label, ctx.attr.first.label))
    outputs, links = {}, []
    for one, other in zip(first, second):
        if one.is_source:
            fail("%s: src: %s is a source file; give a target that builds files" % (ctx.label, one.owner))
        if one.path == other.path:
            fail("%s: src: %s has the same path in both configurations, so it is built only once; give a target that depends on the configuration" % (ctx.label, one.path))

        # The links have different paths in the runfiles, where both files would have the same.
        pair = []
        for build, file in (("first", one), ("second", other)):
            name = "%s/%s/%s" % (ctx.label.name, build, file.short_path.removeprefix("../"))
            link = ctx.actions.declare_directory(name) if file.is_directory else ctx.actions.declare_file(name)
            ctx.actions.symlink(output = link, target_file = file)
            pair.append(link)
        outputs[one.short_path] = ["runfile:" + link.short_path for link in pair]
        links.extend(pair)
    spec = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(spec, json.encode_indent({"outputs": outputs}))
    return [DefaultInfo(files = depset([spec]), runfiles = ctx.runfiles(links))]

two_builds = rule(
    implementation = _two_builds_impl,
    doc = "A JSON file that lists the outputs of two builds of a target in pairs; the outputs are its runfiles.",
    attrs = {
        "first": attr.label(allow_files = True, mandatory = True, doc = "The target."),
        "second": attr.label(allow_files = True, cfg = _second_build, mandatory = True, doc = "The same target."),
        "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
    },
)

def reproducible_test(name, src, size = "medium", **kwargs):
    """Declares a test that a target's outputs have the same bytes when they are built again in another environment.

    The target is built twice, with all its dependencies and all tools of its actions. The second build has

    - other output paths, without path mapping, so that no action is a cache hit of the first build;
    - other values of TZ, LANG, HOME, USER, LOGNAME, HOSTNAME and PYTHONHASHSEED, for actions with Bazel's environment
      (in the second build they replace `--action_env`);
    - other processes, at another time.

    If outputs differ, the test fails, and its log names the first difference: the output, the member of an archive, the
    partition of a disk, the path in a file system, and the field. Compressed outputs are first compared by their
    decompressed content.

    The machine, its kernel, and the path of the checkout are the same in both builds.

    Args:
        name: of the test.
        src: the target to build twice, such as an image. Its default outputs are compared; a `filegroup` selects others.
        size: of the test.
        **kwargs: further attributes of the test, such as `tags` and `visibility`.
    """
    builds = name + ".builds"
    two_builds(
        name = builds,
        testonly = True,
        first = src,
        second = src,
        tags = kwargs.get("tags", []),
    )
    py_test(
        name = name,
        size = size,
        srcs = [str(Label("//tools/commands:compare_builds.py"))],
        args = ["--spec=runfile:$(rootpath :%s)" % builds],
        data = [builds],
        main = Label("//tools/commands:compare_builds.py"),
        deps = [Label("//tools/commands:compare_builds")],
        **kwargs
    )
