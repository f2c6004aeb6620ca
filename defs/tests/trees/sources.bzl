"""Rules with the kinds of outputs that trees take: directories, OCI images, programs with runfiles."""

def _directory_impl(ctx):
    output = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        arguments = [output.path],
        command = "mkdir -p \"$1/below\" && echo upper > \"$1/upper.txt\" && echo lower > \"$1/below/lower.txt\"",
        mnemonic = "MakeDirectory",
        outputs = [output],
    )
    return [DefaultInfo(files = depset([output]))]

directory = rule(
    implementation = _directory_impl,
    doc = "A directory (tree artifact) with the files upper.txt and below/lower.txt.",
)

def _program_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(output, "#!/bin/sh\ntrue\n", is_executable = True)
    runfiles = ctx.runfiles(
        files = [ctx.file.data],
        root_symlinks = {"other/root.txt": ctx.file.data},
        symlinks = {"alias.txt": ctx.file.data},
    )
    return [DefaultInfo(executable = output, files = depset([output, ctx.file.data]), runfiles = runfiles)]

program = rule(
    implementation = _program_impl,
    attrs = {"data": attr.label(allow_single_file = True, doc = "A file in the runfiles.")},
    doc = "A program with a file in its runfiles, under three names. As of a py_binary, its outputs are several files.",
    executable = True,
)

def _oci_layout_impl(ctx):
    output = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run(
        arguments = [output.path],
        executable = ctx.executable._make,
        mnemonic = "MakeOciLayout",
        outputs = [output],
    )
    return [DefaultInfo(files = depset([output]))]

oci_layout = rule(
    implementation = _oci_layout_impl,
    doc = "A directory with an OCI image of two layers, as the image rules of rules_oci make it.",
    attrs = {
        "_make": attr.label(default = "//tools/testing:make_oci_layout", executable = True, cfg = "exec"),
    },
)
