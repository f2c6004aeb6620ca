"""Programs of the reference payload."""

def _reference_program_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    args = ctx.actions.args()
    args.add(ctx.label.name, format = "--program=%s")
    args.add(output, format = "--output=%s")
    args.add_all(ctx.files.modules)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._writer,
        execution_requirements = {"supports-path-mapping": "1"},
        inputs = ctx.files.modules,
        mnemonic = "ReferenceProgram",
        outputs = [output],
        progress_message = "Writing %{output}",
    )
    return [DefaultInfo(files = depset([output]))]

reference_program = rule(
    implementation = _reference_program_impl,
    doc = "The program of the reference payload that has the target's name: one file, which Python runs.",
    attrs = {
        "modules": attr.label_list(allow_files = [".py"], doc = "The modules of its package.", mandatory = True),
        "_writer": attr.label(cfg = "exec", default = ":write_program", executable = True),
    },
)
