"""The module extension for locked Debian packages, for this and other modules.

`debian.lock` declares a repository with a target for each set of the manifest, such as `@packages//:system`, and one
for each package, such as `@packages//packages:shim-signed`. Packages are downloaded when a build needs them.
`@packages//lists` is the package lists of the archives that the lock was made from, which only a test needs.
`debian_lock` of defs/debian.bzl creates the lock.

An example. From [examples/minimal-appliance/MODULE.bazel](../../examples/minimal-appliance/MODULE.bazel):

```starlark
# The packages of packages/trixie.lock.json.
debian = use_extension("@rules_icos//debian:extensions.bzl", "debian")
debian.lock(
    name = "minimal_appliance_packages",
    manifest = "//packages:trixie.toml",
)
use_repo(debian, packages = "minimal_appliance_packages")
```
"""

load("//third_party/debian:repositories.bzl", "lock_of", "locked_packages", "missing_lock", "read_lists", "read_lock")

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
                lists = read_lists(mctx, tag.manifest),
                lock = str(lock.label),
                manifest = str(tag.manifest),
            )
    return mctx.extension_metadata(reproducible = True)

_lock = tag_class(
    doc = "The packages of a manifest.",
    attrs = {
        "manifest": attr.label(
            mandatory = True,
            doc = "The manifest, a .toml file. Its lock is in the same directory, with .lock.json instead of .toml.",
        ),
        "name": attr.string(mandatory = True, doc = "Name of the repository, unique among all modules of a build."),
    },
)

debian = module_extension(
    implementation = _debian_impl,
    doc = "Declares repositories for the Debian packages of lock files.",
    tag_classes = {"lock": _lock},
)
