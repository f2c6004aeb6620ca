"""The module extension that provides the Python wheels as `@pypi`."""

load("//third_party/python:wheels.bzl", "wheel_repositories")

def _pypi_impl(mctx):
    lock = json.decode(mctx.read(Label("//third_party/python:requirements.lock.json")))
    wheel_repositories(lock = lock, hub = "pypi")
    return mctx.extension_metadata(reproducible = True)

pypi = module_extension(
    implementation = _pypi_impl,
    doc = "Declares `@pypi`, the hub of the wheels in requirements.lock.json.",
)
