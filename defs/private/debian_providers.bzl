"""The providers of Debian packages."""

DebianPackageInfo = provider(
    doc = "One Debian package.",
    fields = {
        "architecture": "String: architecture that the package is for, or `all`.",
        "deb": "File: the package.",
        "name": "String: name of the package.",
        "version": "String: version of the package.",
    },
)

DebianPackagesInfo = provider(
    doc = "A set of Debian packages.",
    fields = {
        "locks": "List of Files: the locks that list the packages.",
        "packages": "List of DebianPackageInfo.",
        "provided": "List of strings: virtual packages that the image provides by other means than these packages.",
    },
)

DebianInstalledInfo = provider(
    doc = "A root tree in which packages are installed.",
    fields = {"locks": "Depset of Files: the locks that list the packages."},
)
