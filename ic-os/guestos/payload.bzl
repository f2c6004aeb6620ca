"""The executables that the images carry."""

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
    return [
        DefaultInfo(files = depset(info.dest_src_map.values())),
        info,
    ]

payload = rule(
    implementation = _payload_impl,
    doc = "Executables by their names, for /opt/ic/bin.",
    attrs = {
        "required": attr.string_list(doc = "Names without which there is no image."),
        "src": attr.label(allow_files = True, doc = "The executables, or pkg_files that say where they go.", mandatory = True),
    },
    provides = [PackageFilesInfo],
)
