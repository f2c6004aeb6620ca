"""The module extension for Python wheels: `@pypi`, and a hub for each further lock."""

load("//third_party/python:wheels.bzl", "wheel_repositories")

def _pypi_impl(mctx):
    locks = {"pypi": Label("//third_party/python:requirements.lock.json")}
    for module in mctx.modules:
        for tag in module.tags.lock:
            if tag.name in locks:
                fail("%s: the hub %s exists already; choose another name" % (module.name, tag.name))
            locks[tag.name] = tag.lock
    for hub, lock in locks.items():
        wheel_repositories(lock = json.decode(mctx.read(lock)), hub = hub)
    return mctx.extension_metadata(reproducible = True)

pypi = module_extension(
    implementation = _pypi_impl,
    doc = "Declares `@pypi`, the hub of the wheels in requirements.lock.json, and the hubs of other locks.",
    tag_classes = {
        "lock": tag_class(
            doc = "A separate lock, for programs whose dependencies should not constrain others.",
            attrs = {
                "lock": attr.label(doc = "The lock file, created by `//third_party/python:lock`.", mandatory = True),
                "name": attr.string(doc = "Name of the hub.", mandatory = True),
            },
        ),
    },
)
