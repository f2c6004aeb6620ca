"""What a WORKSPACE needs for these rules. Modules need nothing of it: MODULE.bazel says it all.

    load("@rules_icos//:repositories.bzl", "debian_packages", "rules_icos_dependencies")
    rules_icos_dependencies()

    load("@rules_python//python:repositories.bzl", "py_repositories")
    py_repositories()

    load("@rules_pkg//:deps.bzl", "rules_pkg_dependencies")
    rules_pkg_dependencies()

    load("@pypi//:repositories.bzl", "wheel_repositories")
    wheel_repositories()

and for each lock of Debian packages:

    debian_packages(name = "my_packages", manifest = "//packages:bookworm.toml")
    load("@my_packages//:repositories.bzl", "debian_package_repositories")
    debian_package_repositories()
"""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")
load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")
load("//third_party/debian:repositories.bzl", _debian_packages = "debian_packages")
load("//third_party/python:wheels.bzl", "locked_wheels")

debian_packages = _debian_packages

_GITHUB = "https://github.com/"
_MIRROR = "https://mirror.bazel.build/github.com/"

# The versions of MODULE.bazel; tests/e2e compares them.
_ARCHIVES = {
    "bazel_skylib": struct(
        path = "bazelbuild/bazel-skylib/releases/download/{version}/bazel-skylib-{version}.tar.gz",
        sha256 = "6e78f0e57de26801f6f564fa7c4a48dc8b36873e416257a92bbb0937eeac8446",
        version = "1.8.2",
    ),
    "platforms": struct(
        path = "bazelbuild/platforms/releases/download/{version}/platforms-{version}.tar.gz",
        sha256 = "3384eb1c30762704fbe38e440204e114154086c8fc8a8c2e3e28441028c019a8",
        version = "1.0.0",
    ),
    "rules_pkg": struct(
        path = "bazelbuild/rules_pkg/releases/download/{version}/rules_pkg-{version}.tar.gz",
        sha256 = "b7215c636f22c1849f1c3142c72f4b954bb12bb8dcf3cbe229ae6e69cc6479db",
        version = "1.1.0",
    ),
    "rules_python": struct(
        path = "bazel-contrib/rules_python/releases/download/{version}/rules_python-{version}.tar.gz",
        sha256 = "f609f341d6e9090b981b3f45324d05a819fd7a5a56434f849c761971ce2c47da",
        strip_prefix = "rules_python-{version}",
        version = "1.7.0",
    ),
}

# buildifier: disable=unnamed-macro
def rules_icos_dependencies(wheels = "pypi"):
    """Declares the rules that these rules load, unless the WORKSPACE has declared them before, and the Python wheels.

    Args:
        wheels: name of the hub of the wheels. These rules call it `pypi`; a WORKSPACE that has a `pypi` of its own
            chooses another name, and declares `rules_icos` with `repo_mapping = {"@pypi": "@NAME"}`.
    """
    for name, archive in _ARCHIVES.items():
        path = archive.path.format(version = archive.version)
        maybe(
            http_archive,
            name = name,
            sha256 = archive.sha256,
            strip_prefix = getattr(archive, "strip_prefix", "").format(version = archive.version),
            urls = [_MIRROR + path, _GITHUB + path],
        )
    maybe(locked_wheels, name = wheels)
    native.register_toolchains(str(Label("//defs/execution:all")))
