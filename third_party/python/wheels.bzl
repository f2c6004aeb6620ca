"""Repositories for the Python wheels of a lock, such as requirements.lock.json.

A distribution has a repository for each CPU with different wheels, or a single one; it is downloaded when a build needs
it. A repository has the wheels of all CPython versions in one directory: extension modules have the version in their
names, and the tool that creates the lock checks that all other files are equal. abi3 modules don't have the CPU in
their names, so CPUs don't share a directory.

The hub, such as `@pypi`, has an alias for each distribution, with `_` instead of `-` in its name: `@pypi//:absl_py`.
The scripts of a wheel, which installers copy to PATH, are the files of `@pypi//:NAME.scripts`. `@pypi//:rules_python.bzl`
says what the version of rules_python has that the build takes.
"""

load("@bazel_tools//tools/build_defs/repo:utils.bzl", "get_auth")
load("//third_party:download.bzl", "reproducible")

_WHEEL_BUILD = """\
# {distribution} {version}; license: {license}

load("@rules_python//python:py_library.bzl", "py_library")

package(default_visibility = ["//visibility:public"])

py_library(
    name = "lib",
    srcs = glob(["site/**/*.py"], allow_empty = True, exclude = ["site/*.data/**"]),
    data = glob(
        ["site/**"],
        allow_empty = True,
        exclude = [
            "site/**/*.py",
            "site/**/* *",
            "site/*.data/**",
            "site/*.dist-info/RECORD",
        ],
    ),
    imports = ["site"],
    tags = ["distribution={distribution}"],
    deps = {deps},
)

filegroup(
    name = "scripts",
    srcs = glob(["site/*.data/scripts/*"], allow_empty = True),
)
"""

def _wheel_repository_impl(rctx):
    for url, sha256 in rctx.attr.wheels.items():
        rctx.download_and_extract(
            url = url,
            sha256 = sha256,
            type = "zip",
            output = "site",
            auth = get_auth(rctx, [url]),
        )
    for entry in rctx.path("site").readdir():
        if entry.basename.endswith(".data"):
            for part in entry.readdir():
                # Installers merge these into site-packages; not implemented, since no locked wheel has them.
                if part.basename in ("purelib", "platlib"):
                    fail("%s: has files in %s, which must be merged with the rest" % (rctx.attr.distribution, part))
    rctx.file("BUILD.bazel", _WHEEL_BUILD.format(
        distribution = rctx.attr.distribution,
        version = rctx.attr.version,
        license = rctx.attr.license or "not stated",
        deps = repr(["@%s//:%s" % (rctx.attr.hub, _target(name)) for name in rctx.attr.requires]),
    ))
    return reproducible(rctx)

wheel_repository = repository_rule(
    implementation = _wheel_repository_impl,
    doc = "The wheels of a distribution, for one CPU or all, extracted into one directory.",
    attrs = {
        "distribution": attr.string(mandatory = True, doc = "Name of the distribution."),
        "hub": attr.string(mandatory = True, doc = "Name of the hub repository, for the labels of dependencies."),
        "license": attr.string(doc = "License as stated by the distribution."),
        "requires": attr.string_list(doc = "Names of the distributions that it depends on."),
        "version": attr.string(mandatory = True, doc = "Version of the distribution."),
        "wheels": attr.string_dict(mandatory = True, doc = "SHA-256 of each wheel by its URL."),
    },
)

_LINUX = """\
config_setting(
    name = "linux_{cpu}",
    constraint_values = [
        "@platforms//cpu:{cpu}",
        "@platforms//os:linux",
    ],
)"""

def _hub_build(by_distribution):
    """Returns the content of the BUILD file of a hub; `by_distribution` has the names of repositories by CPU, or by `any`."""
    lines = ['package(default_visibility = ["//visibility:public"])', 'exports_files(["rules_python.bzl"])']
    cpus = {cpu: None for repositories in by_distribution.values() for cpu in repositories if cpu != "any"}
    lines += [_LINUX.format(cpu = cpu) for cpu in sorted(cpus)]
    for name, repositories in by_distribution.items():
        for target, alias in (("lib", _target(name)), ("scripts", _target(name) + ".scripts")):
            lines.append(_alias(name, alias, repositories, target))
    return "\n\n".join(lines) + "\n"

_RULES_PYTHON = """\
\"\"\"The version of rules_python in this build.\"\"\"

# Whether py_binary has the attribute config_settings.
HAS_CONFIG_SETTINGS = {has_config_settings}
"""

_RULES_PYTHON_ATTRS = {"_rules_python": attr.label(default = "@rules_python//python:BUILD.bazel")}

def _write_hub(rctx, by_distribution):
    """Writes the BUILD file of a hub, and what rules_python has; the rule has _RULES_PYTHON_ATTRS."""
    rctx.file("BUILD.bazel", _hub_build(by_distribution))

    # The attribute and this feature are both of rules_python 1.7; versions without the file are older.
    features = rctx.path(rctx.attr._rules_python).dirname.get_child("features.bzl")
    has_config_settings = features.exists and "headers_abi3" in rctx.read(features)
    rctx.file("rules_python.bzl", _RULES_PYTHON.format(has_config_settings = has_config_settings))

def _wheel_hub_impl(rctx):
    _write_hub(rctx, json.decode(rctx.attr.repositories))

def _alias(distribution, alias, repositories, target):
    if repositories.keys() == ["any"]:
        actual = repr("@%s//:%s" % (repositories["any"], target))
    else:
        conditions = {
            ":linux_" + cpu: "@%s//:%s" % (repository, target)
            for cpu, repository in repositories.items()
        }
        message = "%s has wheels for Linux on %s only; on another system build by remote execution, or in a container of Linux" % (
            distribution,
            " and ".join(repositories.keys()),
        )
        actual = "select(%r, no_match_error = %r)" % (conditions, message)
    return "alias(\n    name = %r,\n    actual = %s,\n)" % (alias, actual)

wheel_hub = repository_rule(
    implementation = _wheel_hub_impl,
    doc = "Aliases to the repositories of the distributions.",
    attrs = _RULES_PYTHON_ATTRS | {
        "repositories": attr.string(
            mandatory = True,
            doc = "JSON: for each distribution, the names of its repositories by CPU, or by `any`.",
        ),
    },
)

def distribution_repositories(lock, hub):
    """Declares the repositories of a lock's distributions.

    Args:
        lock: the decoded lock file.
        hub: name of the hub repository, and prefix of their names.
    """
    for name, distribution in lock["distributions"].items():
        for cpu, wheels in _by_cpu(distribution["wheels"]).items():
            wheel_repository(
                name = _repository(hub, name, cpu),
                distribution = name,
                hub = hub,
                license = distribution["license"],
                requires = distribution["requires"],
                version = distribution["version"],
                wheels = wheels,
            )

def _names(lock, hub):
    """Returns for each distribution of a lock the names of its repositories by CPU, or by `any`."""
    return {
        name: {cpu: _repository(hub, name, cpu) for cpu in _by_cpu(distribution["wheels"])}
        for name, distribution in lock["distributions"].items()
    }

def _repository(hub, distribution, cpu):
    return "_".join([hub, _target(distribution)] + ([] if cpu == "any" else [cpu]))

def wheel_repositories(lock, hub):
    """Declares the repositories of a lock.

    Args:
        lock: the decoded lock file.
        hub: name of the hub repository, and prefix of the others' names.
    """
    distribution_repositories(lock, hub)
    wheel_hub(name = hub, repositories = json.encode(_names(lock, hub)))

_WORKSPACE_MACRO = """\
load({wheels}, "distribution_repositories")

_LOCK = {lock}

def wheel_repositories():
    distribution_repositories(lock = _LOCK, hub = {hub})
"""

def _locked_wheels_impl(rctx):
    lock = json.decode(rctx.read(rctx.attr._lock))
    _write_hub(rctx, _names(lock, rctx.attr.name))
    rctx.file("repositories.bzl", _WORKSPACE_MACRO.format(
        hub = repr(rctx.attr.name),
        lock = repr(lock),
        wheels = repr(str(Label("//third_party/python:wheels.bzl"))),
    ))

locked_wheels = repository_rule(
    implementation = _locked_wheels_impl,
    doc = """The hub of the wheels, for a WORKSPACE; modules use extension.bzl.

    A WORKSPACE can't read files, so the repositories of the distributions need another step: the macro
    `wheel_repositories` in `repositories.bzl` of this repository.""",
    attrs = _RULES_PYTHON_ATTRS | {"_lock": attr.label(default = "//third_party/python:requirements.lock.json")},
)

def _by_cpu(wheels):
    """Returns the wheels, URL to SHA-256, of each CPU, or of `any` if all CPUs have the same wheels."""
    result = {}
    for wheel in wheels:
        for cpu in wheel["cpus"]:
            result.setdefault(cpu, {})[wheel["url"]] = wheel["sha256"]
    same = len(result) > 1 and len({repr(urls): None for urls in result.values()}) == 1
    return {"any": result.values()[0]} if same else result

def _target(distribution):
    return distribution.replace("-", "_").replace(".", "_")
