"""Outputs of prod as they are with the keys that only tests have."""

_KEYS = "//ic-os/guestos/update-keys:test-only"

def _with_test_keys_impl(_settings, _attr):
    return {
        "//ic-os/guestos:signing_key": _KEYS + ".key.pem",
        "//ic-os/guestos:update_keys": _KEYS + ".pem",
    }

_with_test_keys = transition(
    implementation = _with_test_keys_impl,
    inputs = [],
    outputs = [
        "//ic-os/guestos:signing_key",
        "//ic-os/guestos:update_keys",
    ],
)

def _test_key_outputs_impl(ctx):
    files = depset(transitive = [target[DefaultInfo].files for target in ctx.attr.srcs])
    return [DefaultInfo(files = files, runfiles = ctx.runfiles(transitive_files = files))]

test_key_outputs = rule(
    implementation = _test_key_outputs_impl,
    doc = "Files of targets that are built with the update keys and the signing key of the tests.",
    attrs = {
        "srcs": attr.label_list(
            allow_files = True,
            cfg = _with_test_keys,
            doc = "The targets.",
            mandatory = True,
        ),
    },
)
