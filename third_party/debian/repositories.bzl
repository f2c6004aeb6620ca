"""Repositories for the packages of a lock file: one for each package, and a hub of the sets and of all packages."""

# By Debian's name for an architecture.
_CPUS = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "armhf": "armv7",
    "ppc64el": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}

_PACKAGE_BUILD = """\
load({rules}, "debian_package")

debian_package(
    name = "package",
    architecture = {architecture},
    deb = {file},
    package = {package},
    version = {version},
    visibility = ["//visibility:public"],
)
"""

_SET_BUILD = """\
debian_package_set(
    name = {name},
    command = {command},
    lock = {lock},
    manifest = {manifest},
    packages = {packages},
    provided = {provided},
)
"""

_ALIAS_BUILD = """\
alias(
    name = {name},
    actual = {actual},
)
"""

_RULES = Label("//defs/private:debian_package.bzl")
_REPOSITORIES = Label("//third_party/debian:repositories.bzl")

_FORMAT = 1

def lock_of(manifest):
    """Returns what there is to know of a manifest's lock before it is read.

    Args:
        manifest: label of the manifest.

    Returns:
        A struct: label and file name of the lock, and the command that makes it.
    """
    if not manifest.name.endswith(".toml"):
        fail("manifest %s: its name must end in .toml" % manifest)
    stem = manifest.name.removesuffix(".toml")
    return struct(
        command = "bazel run //%s:%s.lock" % (manifest.package, stem),
        file = stem.rpartition("/")[2] + ".lock.json",
        label = manifest.same_package_label(stem + ".lock.json"),
    )

def read_lock(context, manifest):
    """Returns the decoded lock of a manifest, or None where there is none.

    Args:
        context: of a module extension or a repository rule.
        manifest: label of the manifest.
    """
    lock = lock_of(manifest)
    path = context.path(manifest).dirname.get_child(lock.file)
    context.watch(path)
    if not path.exists:
        return None
    content = json.decode(context.read(path))
    if content.get("format") != _FORMAT:
        fail("%s: isn't a lock of format %d; make it anew: %s" % (lock.label, _FORMAT, lock.command))
    return content

def _package_repository_impl(rctx):
    file = rctx.attr.urls[0].rpartition("/")[2]
    result = rctx.download(url = rctx.attr.urls, output = file, sha256 = rctx.attr.sha256, allow_fail = True)
    if not result.success:
        fail("\n  ".join([
            "package %s %s (%s): no URL of the lock gives the file with SHA-256 %s; tried:" %
            (rctx.attr.package, rctx.attr.version, rctx.attr.architecture, rctx.attr.sha256),
        ] + rctx.attr.urls + [
            "The warnings above say why. No other version is taken. If the file is gone for good, make a new lock:",
            rctx.attr.command,
        ]))
    rctx.file("BUILD.bazel", _PACKAGE_BUILD.format(
        rules = repr(str(_RULES)),
        architecture = repr(rctx.attr.architecture),
        file = repr(file),
        package = repr(rctx.attr.package),
        version = repr(rctx.attr.version),
    ))

_package_repository = repository_rule(
    implementation = _package_repository_impl,
    doc = "One package file.",
    attrs = {
        "architecture": attr.string(mandatory = True, doc = "Its architecture, or all."),
        "command": attr.string(mandatory = True, doc = "What makes the lock anew, for messages."),
        "package": attr.string(mandatory = True, doc = "Its name."),
        "sha256": attr.string(mandatory = True, doc = "Of the file, in hex."),
        "urls": attr.string_list(mandatory = True, doc = "Where to find the file, in this order."),
        "version": attr.string(mandatory = True, doc = "Its version."),
    },
)

def _hub_impl(rctx):
    rctx.file("BUILD.bazel", rctx.attr.sets)
    rctx.file("packages/BUILD.bazel", rctx.attr.packages)

_hub = repository_rule(
    implementation = _hub_impl,
    doc = "The sets of a lock, and aliases to its packages.",
    attrs = {
        "packages": attr.string(mandatory = True, doc = "The BUILD file of the packages."),
        "sets": attr.string(mandatory = True, doc = "The BUILD file of the sets."),
    },
)

def _fail_without_lock(lock, command):
    fail("%s: isn't there; make it, where the archive can be reached: %s" % (lock, command))

def _missing_lock_impl(rctx):
    _fail_without_lock(rctx.attr.lock, rctx.attr.command)

missing_lock = repository_rule(
    implementation = _missing_lock_impl,
    doc = "Stands for the hub of a lock that isn't there; whatever depends on it fails with what to do.",
    attrs = {
        "command": attr.string(mandatory = True, doc = "What makes the lock."),
        "lock": attr.string(mandatory = True, doc = "The lock."),
    },
)

def _repository_name(hub, key):
    """Names the repository of a package; `_` and capitals don't occur in package names, so this stays unique."""
    return "%s_%s" % (hub, key.replace("+", "P"))

def _select(by_architecture, what):
    """Returns an expression for what depends on the target's CPU; there's nothing to choose from one."""
    if len(by_architecture) == 1:
        return repr(by_architecture.values()[0])
    conditions = {"@platforms//cpu:" + _CPUS[name]: value for name, value in by_architecture.items()}
    message = "%s is locked for %s only" % (what, " and ".join(by_architecture.keys()))
    return "select(%r, no_match_error = %r)" % (conditions, message)

def _sets_build(name, content, command, lock, manifest):
    parts = ["load(%r, \"debian_package_set\")\n" % str(_RULES), 'package(default_visibility = ["//visibility:public"])\n']
    for set_name, locked in content["sets"].items():
        packages = {
            architecture: ["@%s//:package" % _repository_name(name, key) for key in keys]
            for architecture, keys in locked["packages"].items()
        }
        parts.append(_SET_BUILD.format(
            name = repr(set_name),
            command = repr(command),
            lock = repr(lock),
            manifest = repr(manifest),
            packages = _select(packages, set_name),
            provided = repr(locked["provided"]),
        ))
    return "\n".join(parts)

def _packages_build(name, content):
    architectures = {a: None for locked in content["sets"].values() for a in locked["packages"]}
    packages = {}
    for key, package in content["packages"].items():
        found = architectures if package["architecture"] == "all" else [package["architecture"]]
        for architecture in found:
            packages.setdefault(package["name"], {})[architecture] = "@%s//:package" % _repository_name(name, key)
    parts = ['package(default_visibility = ["//visibility:public"])\n']
    for package_name, repositories in packages.items():
        same = len(repositories) == len(architectures) and len({r: None for r in repositories.values()}) == 1
        actual = repr(repositories.values()[0]) if same else _select(repositories, package_name)
        parts.append(_ALIAS_BUILD.format(name = repr(package_name), actual = actual))
    return "\n".join(parts)

def package_repositories(name, content, command):
    """Declares the repositories of a lock's packages.

    Args:
        name: of the hub, and prefix of their names.
        content: the decoded lock file.
        command: what makes the lock anew, for messages.
    """
    for key, package in content["packages"].items():
        _package_repository(
            name = _repository_name(name, key),
            architecture = package["architecture"],
            command = command,
            package = package["name"],
            sha256 = package["sha256"],
            urls = ["%s/%s" % (url, package["path"]) for url in content["archives"][package["archive"]]["urls"]],
            version = package["version"],
        )

def locked_packages(name, content, command, lock, manifest):
    """Declares the repositories of a lock.

    Args:
        name: of the hub, and prefix of the others' names.
        content: the decoded lock file.
        command: what makes the lock anew, for messages.
        lock: label of the lock.
        manifest: label of the manifest.
    """
    package_repositories(name, content, command)
    _hub(
        name = name,
        packages = _packages_build(name, content),
        sets = _sets_build(name, content, command, lock, manifest),
    )

_WORKSPACE_MACRO = """\
load({repositories}, "package_repositories")

_LOCK = {content}

def debian_package_repositories():
    package_repositories(name = {name}, content = _LOCK, command = {command})
"""

def _debian_packages_impl(rctx):
    name, manifest = rctx.attr.name, rctx.attr.manifest
    lock, content = lock_of(manifest), read_lock(rctx, manifest)
    if content == None:
        _fail_without_lock(lock.label, lock.command)
    rctx.file("BUILD.bazel", _sets_build(name, content, lock.command, str(lock.label), str(manifest)))
    rctx.file("packages/BUILD.bazel", _packages_build(name, content))
    rctx.file("repositories.bzl", _WORKSPACE_MACRO.format(
        command = repr(lock.command),
        content = repr(content),
        name = repr(name),
        repositories = repr(str(_REPOSITORIES)),
    ))

debian_packages = repository_rule(
    implementation = _debian_packages_impl,
    doc = """The packages of a lock, for a WORKSPACE; modules have the extension beside this file.

A WORKSPACE can't read files, so the repositories of the packages take another step: the macro
`debian_package_repositories` of the repository's own `repositories.bzl`.""",
    attrs = {
        "manifest": attr.label(
            mandatory = True,
            doc = "The manifest, a .toml file. Its lock stands beside it, with .lock.json for .toml.",
        ),
    },
)
