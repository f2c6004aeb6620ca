"""The rule for the executables in /opt/ic/bin."""

load("@rules_pkg//pkg:providers.bzl", "PackageFilesInfo")

_FOLDER = "opt/ic/bin/"

def _payload_impl(ctx):
    if PackageFilesInfo in ctx.attr.src:
        info = ctx.attr.src[PackageFilesInfo]
    else:
        info = PackageFilesInfo(
            attributes = {"mode": "0755"},
            dest_src_map = {_FOLDER + file.basename: file for file in ctx.files.src},
        )
    missing = [name for name in ctx.attr.required if _FOLDER + name not in info.dest_src_map]
    if missing:
        fail("%s: has no executable %s; it has %s" % (
            ctx.attr.src.label,
            ", ".join(missing),
            ", ".join([path.removeprefix(_FOLDER) for path in info.dest_src_map]) or "none",
        ))
    own = ctx.attr.own[PackageFilesInfo].dest_src_map
    doubled = [path.removeprefix(_FOLDER) for path in info.dest_src_map if path in own]
    if doubled:
        fail("%s: has %s, which the GuestOS has already; leave it out of the release binaries" % (
            ctx.attr.src.label,
            ", ".join(doubled),
        ))
    executables = []
    for path, file in info.dest_src_map.items():
        link = ctx.actions.declare_file("%s/%s" % (ctx.label.name, path.removeprefix(_FOLDER)))
        ctx.actions.symlink(output = link, target_file = file)
        executables.append(link)
    return [
        DefaultInfo(files = depset(info.dest_src_map.values())),
        OutputGroupInfo(executables = depset(executables)),
        info,
    ]

payload = rule(
    implementation = _payload_impl,
    doc = "Executables for /opt/ic/bin. The output group `executables` has them under their names in the image.",
    attrs = {
        "own": attr.label(
            doc = "The programs of the system itself, which must not be among the executables.",
            mandatory = True,
            providers = [PackageFilesInfo],
        ),
        "required": attr.string_list(doc = "Names of executables that must be there."),
        "src": attr.label(allow_files = True, doc = "The executables, or pkg_files with their destinations.", mandatory = True),
    },
    provides = [PackageFilesInfo],
)
