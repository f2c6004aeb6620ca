"""The module extension that provides Debian packages, as locked, to this and to other modules.

`debian.lock` makes a repository with a target for each set of the manifest, such as `@packages//:system`, and one for
each package, such as `@packages//packages:shim-signed`. Packages are fetched when something that is built needs them.
`debian_lock` of defs/debian.bzl makes the lock.

An example. From [examples/minimal-appliance/MODULE.bazel](../../examples/minimal-appliance/MODULE.bazel):

```starlark
# The packages of packages/trixie.lock.json.
debian = use_extension("@rules_icos//third_party/debian:extension.bzl", "debian")
debian.lock(
    name = "minimal_appliance_packages",
    manifest = "//packages:trixie.toml",
)
use_repo(debian, packages = "minimal_appliance_packages")
```
"""

load("//third_party/debian:repositories.bzl", "lock_of", "locked_packages", "missing_lock", "read_lock")

def _debian_impl(mctx):
    owners = {}
    for module in mctx.modules:
        for tag in module.tags.lock:
            if tag.name in owners:
                fail("debian.lock: modules %s and %s both declare %r; one must choose another name" %
                     (owners[tag.name], module.name, tag.name))
            owners[tag.name] = module.name
            lock, content = lock_of(tag.manifest), read_lock(mctx, tag.manifest)
            if content == None:
                missing_lock(name = tag.name, lock = str(lock.label), command = lock.command)
                continue
            locked_packages(
                name = tag.name,
                command = lock.command,
                content = content,
                lock = str(lock.label),
                manifest = str(tag.manifest),
            )
    return mctx.extension_metadata(reproducible = True)

_lock = tag_class(
    doc = "Packages from one manifest.",
    attrs = {
        "manifest": attr.label(
            mandatory = True,
            doc = "The manifest, a .toml file. Its lock stands beside it, with .lock.json for .toml.",
        ),
        "name": attr.string(mandatory = True, doc = "Name of the repository; one for all modules of a build."),
    },
)

debian = module_extension(
    implementation = _debian_impl,
    doc = "Declares repositories for the Debian packages that lock files list.",
    tag_classes = {"lock": _lock},
)
