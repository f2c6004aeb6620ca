"""The module extension that provides Debian packages, as locked, to this and to other modules.

    debian = use_extension("@rules_icos//third_party/debian:extension.bzl", "debian")
    debian.lock(name = "my_packages", manifest = "//packages:bookworm.toml")
    use_repo(debian, "my_packages")

makes `@my_packages//:SET` for each set of the manifest, and `@my_packages//packages:NAME` for each package. Packages are
fetched when something that is built needs them. `debian_lock` of defs/debian.bzl makes the lock.
"""

load("//third_party/debian:repositories.bzl", "locked_packages", "missing_lock")

_FORMAT = 1

def _stem(manifest):
    if not manifest.name.endswith(".toml"):
        fail("debian.lock: manifest %s: its name must end in .toml" % manifest)
    return manifest.name.removesuffix(".toml")

def _debian_impl(mctx):
    owners = {}
    for module in mctx.modules:
        for tag in module.tags.lock:
            if tag.name in owners:
                fail("debian.lock: modules %s and %s both declare %r; one must choose another name" %
                     (owners[tag.name], module.name, tag.name))
            owners[tag.name] = module.name
            lock = tag.manifest.same_package_label(_stem(tag.manifest) + ".lock.json")
            command = "bazel run //%s:%s.lock" % (tag.manifest.package, _stem(tag.manifest))
            path = mctx.path(tag.manifest).dirname.get_child(lock.name)
            mctx.watch(path)
            if not path.exists:
                missing_lock(name = tag.name, lock = str(lock), command = command)
                continue
            content = json.decode(mctx.read(path))
            if content.get("format") != _FORMAT:
                fail("%s: isn't a lock of format %d; make it anew: %s" % (lock, _FORMAT, command))
            locked_packages(
                name = tag.name,
                command = command,
                content = content,
                lock = str(lock),
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
