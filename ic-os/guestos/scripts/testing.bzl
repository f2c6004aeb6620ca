"""Images as a release has them, for tests of the scripts that build without Bazel."""

_release = transition(
    implementation = lambda _settings, attr: {
        "//ic-os/guestos:signing_key": attr.signing_key,
        "//ic-os/guestos:update_keys": attr.update_key,
    },
    inputs = [],
    outputs = [
        "//ic-os/guestos:signing_key",
        "//ic-os/guestos:update_keys",
    ],
)

def _release_image_impl(ctx):
    return [DefaultInfo(files = depset(ctx.files.src))]

release_image = rule(
    implementation = _release_image_impl,
    doc = "An image of the variant `prod`, built with keys.",
    attrs = {
        "signing_key": attr.label(allow_single_file = [".pem"], doc = "Signs upgrades.", mandatory = True),
        "src": attr.label(allow_single_file = True, cfg = _release, doc = "The image.", mandatory = True),
        "update_key": attr.label(allow_single_file = [".pem"], doc = "Upgrades are taken by it.", mandatory = True),
    },
)
