"""The rule secure_boot_keys."""

load("//defs/private:command_action.bzl", "PROCESS_REQUIREMENTS", "SIGNING_REQUIREMENTS", "command_action")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:identifiers.bzl", "check_uuid")
load("//defs/private:json_spec.bzl", "command_args")

_INPUTS = {
    "exchange_certificate": "kek_certificate",
    "exchange_key": "kek_key",
    "ovmf_template": "ovmf_template",
    "platform_certificate": "pk_certificate",
    "platform_key": "pk_key",
}

def _secure_boot_keys_impl(ctx):
    keys = [ctx.file.platform_key, ctx.file.exchange_key]
    if bool(keys[0]) != bool(keys[1]):
        fail("%s: platform_key, exchange_key: sign the .auth files; give both or none" % ctx.label)
    if not keys[0] and not ctx.file.ovmf_template:
        fail("%s: there is nothing to write: give platform_key and exchange_key, or ovmf_template" % ctx.label)
    files = {flag: getattr(ctx.file, attribute) for attribute, flag in _INPUTS.items()}
    names = {}
    if keys[0]:
        names = {"pk_output": "PK.auth", "kek_output": "KEK.auth", "db_output": "db.auth"}
    if ctx.file.ovmf_template:
        names["ovmf_output"] = "ovmf_variables.fd"
    outputs = {flag: ctx.actions.declare_file("%s/%s" % (ctx.label.name, name)) for flag, name in names.items()}
    args = command_args(
        ctx,
        db_certificate = ctx.files.certificates,
        owner = check_uuid(ctx.attr.owner, "%s: owner" % ctx.label),
        **(files | outputs)
    )
    inputs = ctx.files.certificates + [file for file in files.values() if file]
    command_action(
        ctx,
        "SecureBootKeys",
        ctx.executable._secure_boot_keys,
        args,
        inputs,
        outputs.values(),
        "Writing Secure Boot keys of %{label}",
        SIGNING_REQUIREMENTS if keys[0] else PROCESS_REQUIREMENTS,
    )
    return [
        DefaultInfo(files = depset(outputs.values())),
        OutputGroupInfo(ovmf_variables = depset([outputs["ovmf_output"]] if "ovmf_output" in outputs else [])),
    ]

secure_boot_keys = rule(
    implementation = _secure_boot_keys_impl,
    doc = """What enrolls the keys of Secure Boot in firmware, so that it starts only what the certificates of a product have signed.

With private keys: `NAME/PK.auth`, `NAME/KEK.auth` and `NAME/db.auth`, for firmware in setup mode; enroll PK last, since it
ends that mode. With `ovmf_template`: `NAME/ovmf_variables.fd`, the variable store of a virtual machine that has these keys
alone and verifies signatures: `firmware_variables` of `vm_boot_test` and `vm_launcher`. It is the output group
`ovmf_variables`, too. Other machines of QEMU take a copy of it and the firmware for Secure Boot, such as
OVMF_CODE_4M.secboot.fd.""",
    attrs = {
        "certificates": attr.label_list(
            allow_empty = False,
            allow_files = [".pem"],
            doc = "The certificates that sign what firmware starts (db), as PEM; see `unified_kernel_image`.",
            mandatory = True,
        ),
        "exchange_certificate": attr.label(
            allow_single_file = [".pem"],
            doc = "The certificate whose key changes `certificates` on machines later (KEK), as PEM.",
            mandatory = True,
        ),
        "exchange_key": attr.label(allow_single_file = [".pem"], doc = "Its private key, RSA as PEM. Signs db.auth."),
        "ovmf_template": attr.label(
            allow_single_file = True,
            doc = "An empty variable store of OVMF, such as `OVMF_VARS_4M.fd` of Debian's package ovmf.",
        ),
        "owner": attr.string(doc = "GUID that names the product in the lists of keys.", mandatory = True),
        "platform_certificate": attr.label(
            allow_single_file = [".pem"],
            doc = "The certificate that owns the machine (PK), as PEM.",
            mandatory = True,
        ),
        "platform_key": attr.label(
            allow_single_file = [".pem"],
            doc = """Its private key, RSA as PEM. Signs PK.auth and KEK.auth.

            The action that uses it runs on the local machine, never on a remote executor.""",
        ),
        "_secure_boot_keys": attr.label(default = "//tools/commands:secure_boot_keys", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
