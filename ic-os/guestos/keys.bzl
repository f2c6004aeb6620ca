"""Rules for the keys of releases: checks that they are there, and a list of those whose upgrades machines accept."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")

KeyProblemInfo = provider(
    doc = "What is wrong with a key of a release.",
    fields = {"problem": "String: what is wrong, and what to do; empty if nothing is wrong."},
)

def _option(label):
    """Returns the option of the command line for a build setting."""
    return "--" + str(label).replace("@@//", "//")

def _required_keys_impl(ctx):
    problems = [target[KeyProblemInfo].problem for target in ctx.attr.problems]
    if not ctx.files.keys and not ctx.attr.unless[BuildSettingInfo].value:
        problems.append("%s: give %s=%s, or, if that is meant, %s; ic-os/guestos/doc/Upgrade.adoc explains the keys" % (
            ctx.attr.consequence,
            _option(Label(ctx.attr.flag)),
            ctx.attr.example,
            _option(ctx.attr.unless.label),
        ))
    problems = ["%s: %s" % (ctx.label.package, problem) for problem in problems if problem]
    if problems:
        fail("\n".join(problems))
    return [DefaultInfo(files = depset(ctx.files.src))]

required_keys = rule(
    implementation = _required_keys_impl,
    doc = "Files that an image needs, if it has keys: without keys it is an error of the analysis to depend on this target.",
    attrs = {
        "consequence": attr.string(doc = "What happens without keys.", mandatory = True),
        "example": attr.string(doc = "A value of the label flag, for the message.", mandatory = True),
        "flag": attr.string(
            doc = "The label flag that the message names: a Target has the label of what the flag is set to.",
            mandatory = True,
        ),
        "keys": attr.label_list(allow_files = True, doc = "The keys, label flags; one must have files.", mandatory = True),
        "problems": attr.label_list(doc = "Checks of other keys that the image needs.", providers = [KeyProblemInfo]),
        "src": attr.label(allow_files = True, doc = "The files of this target.", mandatory = True),
        "unless": attr.label(
            doc = "The build setting that says that the image is meant to have no keys.",
            mandatory = True,
            providers = [BuildSettingInfo],
        ),
    },
)

def _secure_boot_key_problem_impl(ctx):
    problem = ""
    if ctx.attr.trust[BuildSettingInfo].value == "own_keys" and ctx.file.key in ctx.files.refused_keys:
        problem = ("is signed for Secure Boot by the key for tests, which everybody has: give %s=//my:key.pem and " +
                   "%s=//my:certificate.pem, or, if the distribution's boot loader is meant, whose configuration nobody " +
                   "signs, %s=distribution; ic-os/guestos/doc/Trust.adoc explains the modes") % (
            _option(Label(ctx.attr.key_flag)),
            _option(Label(ctx.attr.certificate_flag)),
            _option(ctx.attr.trust.label),
        )
    return [KeyProblemInfo(problem = problem)]

secure_boot_key_problem = rule(
    implementation = _secure_boot_key_problem_impl,
    doc = "Checks that images of a release are not signed for Secure Boot by a key that is public.",
    attrs = {
        "certificate_flag": attr.string(doc = "The label flag of the certificate, for the message.", mandatory = True),
        "key": attr.label(allow_single_file = [".pem"], doc = "The private key that signs.", mandatory = True),
        "key_flag": attr.string(doc = "The label flag of the key, for the message.", mandatory = True),
        "refused_keys": attr.label_list(allow_files = [".pem"], doc = "Private keys that are public."),
        "trust": attr.label(
            doc = "The build setting of the mode of trust; only own_keys needs the key.",
            mandatory = True,
            providers = [BuildSettingInfo],
        ),
    },
    provides = [KeyProblemInfo],
)

def _update_keys_list_impl(ctx):
    args = ctx.actions.args()
    args.add(ctx.attr.variant, format = "--variant=%s")
    args.add(ctx.attr.use, format = "--use=%s")
    args.add_all(ctx.files.refused_keys, format_each = "--refused_key=%s")
    args.add(ctx.outputs.list, format = "--output=%s")
    args.add_all(ctx.files.srcs)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._list_update_keys,
        execution_requirements = {"supports-path-mapping": "1"},
        inputs = ctx.files.srcs + ctx.files.refused_keys,
        mnemonic = "UpdateKeys",
        outputs = [ctx.outputs.list],
        progress_message = "Checking update keys of %{label}",
    )
    return [
        DefaultInfo(files = depset(ctx.files.srcs)),
        OutputGroupInfo(_validation = depset([ctx.outputs.list])),
    ]

update_keys_list = rule(
    implementation = _update_keys_list_impl,
    doc = """Public keys by which machines accept upgrades or bootstrap media; the files of this target are those of `srcs`.

A file that a machine cannot read, or whose header is misspelt, is an error of each build that uses them.""",
    attrs = {
        "list": attr.output(doc = "The text that lists the keys: file, id, and last day of validity.", mandatory = True),
        "refused_keys": attr.label_list(allow_files = [".pem"], doc = "Keys that must not be among them."),
        "srcs": attr.label_list(allow_files = True, doc = "PEM files with one key each; a target without files means none."),
        "use": attr.string(
            default = "update",
            doc = "What the keys sign: upgrades or bootstrap media.",
            values = ["bootstrap", "update"],
        ),
        "variant": attr.string(doc = "Variant of the machines, for the text.", mandatory = True),
        "_list_update_keys": attr.label(
            cfg = "exec",
            default = "//ic-os/guestos/tools:list_update_keys",
            executable = True,
        ),
    },
)
