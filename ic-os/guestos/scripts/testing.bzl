"""Images with other settings than the default, for tests."""

_SETTINGS = {
    "//ic-os/guestos:allow_prod_without_update_keys": False,
    "//ic-os/guestos:allow_unsigned_prod": False,
    "//ic-os/guestos:distribution": "debian",
    "//ic-os/guestos:prod_trust": "distribution",
    "//ic-os/guestos:secure_boot_certificate": Label("//ic-os/guestos/secure-boot-keys:test-only.pem"),
    "//ic-os/guestos:secure_boot_key": Label("//ic-os/guestos/secure-boot-keys:test-only.key.pem"),
    "//ic-os/guestos:signing_key": Label("//ic-os/guestos:no_keys"),
    "//ic-os/guestos:update_keys": Label("//ic-os/guestos:no_keys"),
}

_configured = transition(
    implementation = lambda _settings, attr: _SETTINGS | {
        "//ic-os/guestos:" + name: value
        for name, value in {
            "allow_prod_without_update_keys": attr.without_keys,
            "allow_unsigned_prod": attr.without_keys,
            "distribution": attr.distribution,
            "prod_trust": "own_keys" if attr.secure_boot_key else "distribution",
            "secure_boot_certificate": attr.secure_boot_certificate,
            "secure_boot_key": attr.secure_boot_key,
            "signing_key": attr.signing_key,
            "update_keys": attr.update_keys,
        }.items()
        if value
    },
    inputs = [],
    outputs = _SETTINGS.keys(),
)

def _configured_image_impl(ctx):
    # Under a name of its own: in a test's runfiles, images of all configurations have the same path.
    _, dot, suffix = ctx.file.src.basename.partition(".")
    output = ctx.actions.declare_file(ctx.label.name + dot + suffix)
    ctx.actions.symlink(output = output, target_file = ctx.file.src)
    return [DefaultInfo(files = depset([output]))]

configured_image = rule(
    implementation = _configured_image_impl,
    doc = "An image, built with other settings than the default. Its name is that of the target, with the suffix of `src`.",
    attrs = {
        "distribution": attr.string(doc = "The distribution whose packages are installed.", values = ["debian", "ubuntu"]),
        "secure_boot_certificate": attr.label(allow_single_file = [".pem"], doc = "The certificate of `secure_boot_key`."),
        "secure_boot_key": attr.label(
            allow_single_file = [".pem"],
            doc = "The private key that signs images of `prod` for Secure Boot; without it they have the boot loader of the distribution.",
        ),
        "signing_key": attr.label(allow_single_file = [".pem"], doc = "The private key that signs upgrades of `prod`."),
        "src": attr.label(allow_single_file = True, cfg = _configured, doc = "The image.", mandatory = True),
        "without_keys": attr.bool(doc = "Whether an image of `prod` may have no update keys and no signature."),
        "update_keys": attr.label(allow_files = [".pem"], doc = "The public keys by which `prod` accepts upgrades."),
    },
)
