"""The module extension for the repositories that lint needs: `@checkout` and `@buildifier`."""

load("//dev/lint:checkout.bzl", "checkout_repository", "list_checkout")
load("//third_party/buildifier:repository.bzl", "buildifier_repository")

def _lint_impl(mctx):
    buildifier_repository(name = "buildifier")
    checkout_repository(name = "checkout", index = list_checkout(mctx))
    return mctx.extension_metadata(reproducible = True)

lint = module_extension(implementation = _lint_impl, doc = "Declares the repositories that lint needs.")
