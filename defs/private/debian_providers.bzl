"""What Debian packages hand on to the rules that use them."""

DebianPackageInfo = provider(
    doc = "One Debian package.",
    fields = {
        "architecture": "String: architecture that the package is for, or `all`.",
        "deb": "File: the package.",
        "name": "String: name of the package.",
        "version": "String: its version.",
    },
)

DebianPackagesInfo = provider(
    doc = "Debian packages that belong together.",
    fields = {
        "packages": "List of DebianPackageInfo.",
        "provided": "List of strings: virtual packages that no package of these provides, but the image does.",
    },
)
