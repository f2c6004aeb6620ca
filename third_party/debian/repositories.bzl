"""Repositories for the packages of a lock file: one for each package, and a hub with the sets and all packages."""

load("@bazel_tools//tools/build_defs/repo:utils.bzl", "get_auth")
load("//third_party:download.bzl", "reproducible")

# CPU of @platforms by Debian's name of the architecture.
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
    """Returns properties of a manifest's lock that don't depend on its content.

    Args:
        manifest: label of the manifest.

    Returns:
        A struct: label and file name of the lock, path of its package lists, and the command that updates it.
    """
    if not manifest.name.endswith(".toml"):
        fail("manifest %s: its name must end in .toml" % manifest)
    stem = manifest.name.removesuffix(".toml")
    return struct(
        command = "bazel run //%s:%s.lock" % (manifest.package, stem),
        file = stem.rpartition("/")[2] + ".lock.json",
        label = manifest.same_package_label(stem + ".lock.json"),
        lists = stem.rpartition("/")[2] + ".lock.d/lists.json",
    )

def read_lock(context, manifest):
    """Returns the decoded lock of a manifest, or None if it doesn't exist.

    Args:
        context: context of a module extension or a repository rule.
        manifest: label of the manifest.
    """
    lock = lock_of(manifest)
    path = context.path(manifest).dirname.get_child(lock.file)
    context.watch(path)
    if not path.exists:
        return None
    content = json.decode(context.read(path))
    if content.get("format") != _FORMAT:
        fail("%s: isn't a lock of format %d; update it: %s" % (lock.label, _FORMAT, lock.command))
    return content

def read_lists(context, manifest):
    """Returns the package lists that a lock was made from, as tools/debian/evidence.py describes them.

    Args:
        context: context of a module extension or a repository rule.
        manifest: label of the manifest.

    Returns:
        A list of dicts; empty if the lock has no evidence beside it.
    """
    path = context.path(manifest).dirname.get_child(lock_of(manifest).lists)
    context.watch(path)
    return json.decode(context.read(path)) if path.exists else []

def _download(rctx, urls, output, missing, advice):
    """Downloads what has the SHA-256 of the attribute; if no URL has it, fails and names the command of the attribute."""
    sha256 = rctx.attr.sha256
    result = rctx.download(url = urls, output = output, sha256 = sha256, allow_fail = True, auth = get_auth(rctx, urls))
    if not result.success:
        fail("\n  ".join(["%s with SHA-256 %s; tried:" % (missing, sha256)] + urls + [advice, rctx.attr.command]))

def _package_list_repository_impl(rctx):
    # Archives with by-hash keep a list for some time after they have a newer one.
    folder = rctx.attr.path.rpartition("/")[0]
    names = ["%s/by-hash/SHA256/%s" % (folder, rctx.attr.sha256), rctx.attr.path]
    urls = ["%s/dists/%s/%s" % (url, rctx.attr.suite, name) for name in names for url in rctx.attr.urls]
    missing = "%s of %s: no URL has the package list" % (rctx.attr.path, rctx.attr.suite)
    _download(rctx, urls, "packages", missing, "If the archives no longer have it, update the lock:")
    rctx.file("BUILD.bazel", 'exports_files(["packages"])\n')
    return reproducible(rctx)

_package_list_repository = repository_rule(
    implementation = _package_list_repository_impl,
    doc = "A package list of an archive, by which a lock is verified.",
    attrs = {
        "command": attr.string(mandatory = True, doc = "Command that updates the lock, for messages."),
        "path": attr.string(mandatory = True, doc = "Path of the list, relative to the directory of the suite."),
        "sha256": attr.string(mandatory = True, doc = "SHA-256 of the list, in hexadecimal."),
        "suite": attr.string(mandatory = True, doc = "The suite."),
        "urls": attr.string_list(mandatory = True, doc = "Base URLs of the archive, in order of preference."),
    },
)

def _package_repository_impl(rctx):
    file = rctx.attr.urls[0].rpartition("/")[2]
    package = (rctx.attr.package, rctx.attr.version, rctx.attr.architecture)
    missing = "package %s %s (%s): no URL of the lock has the file" % package
    advice = (
        "See the warnings above for the reasons. Where a checksum differs, the server, or a proxy on the way, has " +
        "another file than the one that was locked: find out why before you update the lock. If the file was removed " +
        "from the archive, update the lock:"
    )
    _download(rctx, rctx.attr.urls, file, missing, advice)
    rctx.file("BUILD.bazel", _PACKAGE_BUILD.format(
        rules = repr(str(_RULES)),
        architecture = repr(rctx.attr.architecture),
        file = repr(file),
        package = repr(rctx.attr.package),
        version = repr(rctx.attr.version),
    ))
    return reproducible(rctx)

_package_repository = repository_rule(
    implementation = _package_repository_impl,
    doc = "A package file.",
    attrs = {
        "architecture": attr.string(mandatory = True, doc = "Architecture of the package; may be `all`."),
        "command": attr.string(mandatory = True, doc = "Command that updates the lock, for messages."),
        "package": attr.string(mandatory = True, doc = "Name of the package."),
        "sha256": attr.string(mandatory = True, doc = "SHA-256 of the file, in hexadecimal."),
        "urls": attr.string_list(mandatory = True, doc = "URLs of the file, in order of preference."),
        "version": attr.string(mandatory = True, doc = "Version of the package."),
    },
)

def _hub_impl(rctx):
    rctx.file("BUILD.bazel", rctx.attr.sets)
    rctx.file("lists/BUILD.bazel", rctx.attr.lists)
    rctx.file("packages/BUILD.bazel", rctx.attr.packages)

_hub = repository_rule(
    implementation = _hub_impl,
    doc = "The sets of a lock, and aliases for its packages.",
    attrs = {
        "lists": attr.string(mandatory = True, doc = "Content of the BUILD file with the package lists."),
        "packages": attr.string(mandatory = True, doc = "Content of the BUILD file with the packages."),
        "sets": attr.string(mandatory = True, doc = "Content of the BUILD file with the sets."),
    },
)

def _fail_without_lock(lock, command):
    fail("%s: does not exist; create it, with access to the archive: %s" % (lock, command))

def _missing_lock_impl(rctx):
    _fail_without_lock(rctx.attr.lock, rctx.attr.command)

missing_lock = repository_rule(
    implementation = _missing_lock_impl,
    doc = "Replaces the hub of a lock that doesn't exist; its targets fail with the command that creates the lock.",
    attrs = {
        "command": attr.string(mandatory = True, doc = "Command that creates the lock."),
        "lock": attr.string(mandatory = True, doc = "Label of the lock."),
    },
)

def _repository_name(hub, key):
    """Returns the name of a package's repository; unique, since package names have neither `_` nor capital letters."""
    return "%s_%s" % (hub, key.replace("+", "P"))

def _select(by_architecture, what):
    """Returns an expression that selects a value by the target's CPU; without select() if there is only one."""
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

def _list_repository_name(hub, number):
    return "%s_list_%d" % (hub, number)

def _lists_build(name, lists):
    return """\
filegroup(
    name = "lists",
    srcs = %r,
    visibility = ["//visibility:public"],
)
""" % ["@%s//:packages" % _list_repository_name(name, number) for number in range(len(lists))]

def package_repositories(name, content, command, lists):
    """Declares the repositories of a lock's packages, and of the package lists that it was made from.

    Args:
        name: name of the hub, and prefix of their names.
        content: the decoded lock file.
        command: command that updates the lock, for messages.
        lists: the package lists; see `read_lists`.
    """
    for number, each in enumerate(lists):
        _package_list_repository(
            name = _list_repository_name(name, number),
            command = command,
            path = each["path"],
            sha256 = each["sha256"],
            suite = each["suite"],
            urls = content["archives"][each["archive"]]["urls"],
        )
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

def locked_packages(name, content, command, lock, manifest, lists):
    """Declares the repositories of a lock.

    Args:
        name: name of the hub, and prefix of the others' names.
        content: the decoded lock file.
        command: command that updates the lock, for messages.
        lock: label of the lock.
        manifest: label of the manifest.
        lists: the package lists; see `read_lists`.
    """
    package_repositories(name, content, command, lists)
    _hub(
        name = name,
        lists = _lists_build(name, lists),
        packages = _packages_build(name, content),
        sets = _sets_build(name, content, command, lock, manifest),
    )

_WORKSPACE_MACRO = """\
load({repositories}, "package_repositories")

_LOCK = {content}
_LISTS = {lists}

def debian_package_repositories():
    package_repositories(name = {name}, content = _LOCK, command = {command}, lists = _LISTS)
"""

def _debian_packages_impl(rctx):
    name, manifest = rctx.attr.name, rctx.attr.manifest
    lock, content = lock_of(manifest), read_lock(rctx, manifest)
    if content == None:
        _fail_without_lock(lock.label, lock.command)
    rctx.file("BUILD.bazel", _sets_build(name, content, lock.command, str(lock.label), str(manifest)))
    lists = read_lists(rctx, manifest)
    rctx.file("lists/BUILD.bazel", _lists_build(name, lists))
    rctx.file("packages/BUILD.bazel", _packages_build(name, content))
    rctx.file("repositories.bzl", _WORKSPACE_MACRO.format(
        command = repr(lock.command),
        content = repr(content),
        lists = repr(lists),
        name = repr(name),
        repositories = repr(str(_REPOSITORIES)),
    ))

debian_packages = repository_rule(
    implementation = _debian_packages_impl,
    doc = """The packages of a lock, for a WORKSPACE; modules use debian/extensions.bzl.

    A WORKSPACE can't read files, so the repositories of the packages need another step: the macro
    `debian_package_repositories` in `repositories.bzl` of this repository.""",
    attrs = {
        "manifest": attr.label(
            mandatory = True,
            doc = "The manifest, a .toml file. Its lock is in the same directory, with .lock.json instead of .toml.",
        ),
    },
)
