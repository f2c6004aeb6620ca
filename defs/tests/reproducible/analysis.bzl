"""An analysis test of the rule two_builds; nothing is built."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")

def _two_builds_test_impl(ctx):
    env = analysistest.begin(ctx)
    links = [action for action in analysistest.target_actions(env) if action.mnemonic == "Symlink"]
    built = {"first": {}, "second": {}}
    for action in links:
        _, _, rest = action.outputs.to_list()[0].short_path.rpartition(".builds/")
        (input,) = action.inputs.to_list()
        built[rest.split("/")[0]][input.basename] = input.path
    for build, paths in built.items():
        asserts.equals(env, sorted(ctx.attr.outputs), sorted(paths), "outputs of the %s build" % build)
    for name, path in built["first"].items():
        asserts.false(env, path == built["second"][name], "%s is built only once" % path)
    return analysistest.end(env)

two_builds_test = analysistest.make(
    _two_builds_test_impl,
    doc = "Checks that each output of a target has two paths, one for each build.",
    attrs = {"outputs": attr.string_list(doc = "Names of the files.", mandatory = True)},
)
