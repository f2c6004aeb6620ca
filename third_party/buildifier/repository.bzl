"""The repository of buildifier, the formatter and linter for Starlark, from its npm package."""

# `npm view @bazel/buildifier dist.tarball` and the SHA-256 of that file.
_VERSION = "8.2.1"
_SHA256 = "b96ea9b13003036c801f52bee6f9b0314738f8432e5cb9d814c89f59292604ee"
_URL = "https://registry.npmjs.org/@bazel/buildifier/-/buildifier-{version}.tgz"

# Bazel's names of CPUs to those in the file names.
_CPUS = {"aarch64": "arm64", "x86_64": "amd64"}

def _buildifier_repository_impl(rctx):
    rctx.download_and_extract(url = _URL.format(version = _VERSION), sha256 = _SHA256, stripPrefix = "package")
    conditions = {"@platforms//cpu:" + cpu: ["buildifier-linux_" + suffix] for cpu, suffix in _CPUS.items()}
    rctx.file("BUILD.bazel", """\
# buildifier {version}; license: Apache-2.0

filegroup(
    name = "buildifier",
    srcs = select({conditions}),
    visibility = ["//visibility:public"],
)
""".format(version = _VERSION, conditions = repr(conditions)))

buildifier_repository = repository_rule(
    implementation = _buildifier_repository_impl,
    doc = "The pinned buildifier: `:buildifier` is the executable for the target platform.",
)
