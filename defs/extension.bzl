"""Extension images of systemd: files that a running system adds to its own, without changing them.

An example. From [tests/e2e/consumer/BUILD.bazel](../../tests/e2e/consumer/BUILD.bazel):

```starlark
# Adds to /usr and /opt of any Debian 13 with `systemd-sysext merge`, once it is in /var/lib/extensions.
sysext_image(
    name = "tools",
    src = ":tools_tree",
    id = "debian",
    version_id = "13",
)

# Adds to /etc; systemd verifies it, by the certificate in /etc/verity.d.
confext_image(
    name = "settings",
    src = ":settings_tree",
    certificate = "test-only-verity.pem",
    file_system = "erofs",
    id = "_any",
    key = "test-only-verity.key.pem",
    uuid = _UUID,
)
```

| image | adds to | on the machine in | by |
|---|---|---|---|
| `sysext_image` | `/usr` and `/opt` | `/var/lib/extensions` | systemd-sysext(8), systemd 248 and later |
| `confext_image` | `/etc` | `/var/lib/confexts` | systemd-confext(8), systemd 254 and later |

The file has to keep its name, `NAME.raw`, which the release file in the image has, too.
"""

load("//defs/private:extension_image.bzl", "extension_image")

def sysext_image(
        name,
        src,
        id,
        version_id = "",
        sysext_level = "",
        architecture = "",
        file_system = "squashfs",
        uuid = "",
        salt = "",
        key = None,
        certificate = None,
        signature = None,
        visibility = None,
        tags = None,
        testonly = None):
    """Declares a system extension, `NAME.raw`: files that systemd adds to those in /usr and /opt.

    The image is a bare file system. With a key, or a signature that was made elsewhere, it is a disk with the file system, its
    dm-verity hash tree, and the signature of the root hash, as `systemd-repart --make-ddi=sysext` makes it.

    Files outside of /usr and /opt are an error, and so is an os-release file. The rule writes
    `/usr/lib/extension-release.d/extension-release.NAME`, by which systemd decides whether the image is for the system.

    Output groups of NAME: `mtree` has the list of its files, `sbom` bills of materials, `root_hash` the root hash of a
    signed image, and `to_sign` what to sign elsewhere.

    Args:
        name: of the target and of the image.
        src: the files, a rootfs_tree.
        id: `ID` of the system's os-release, such as `debian`; `_any` for any system.
        version_id: `VERSION_ID` of the system's os-release, such as `13`. Without it and `sysext_level`, only a system whose
            os-release has no `VERSION_ID` takes the image.
        sysext_level: `SYSEXT_LEVEL` of the system's os-release; if both have one, `version_id` is not compared.
        architecture: of the machines, as `uname -m` prints it; by default that of the target platform. `any` for an image
            without programs; the partitions of a signed image have types of the target platform then.
        file_system: `squashfs` or `erofs`.
        uuid: of the EROFS and the hash tree; mandatory if there is one of them.
        salt: of the hash tree, as hexadecimal digits; by default those of `uuid`.
        key: the private key that signs the root hash; see verity_signature_image.
        certificate: of the key, as PEM.
        signature: made elsewhere of the output group `to_sign`, instead of `key`; see verity_signature_image.
        visibility: of all targets.
        tags: of all targets.
        testonly: of all targets.
    """
    extension_image(
        name = name,
        kind = "sysext",
        level = sysext_level,
        src = src,
        id = id,
        version_id = version_id,
        architecture = architecture,
        file_system = file_system,
        uuid = uuid,
        salt = salt,
        key = key,
        certificate = certificate,
        signature = signature,
        common = {"tags": tags, "testonly": testonly, "visibility": visibility},
    )

def confext_image(
        name,
        src,
        id,
        version_id = "",
        confext_level = "",
        architecture = "any",
        file_system = "squashfs",
        uuid = "",
        salt = "",
        key = None,
        certificate = None,
        signature = None,
        visibility = None,
        tags = None,
        testonly = None):
    """Declares a configuration extension, `NAME.raw`: files that systemd adds to those in /etc.

    As `sysext_image`, for files in /etc alone; the release file is `/etc/extension-release.d/extension-release.NAME`.

    Args:
        name: of the target and of the image.
        src: the files, a rootfs_tree.
        id: `ID` of the system's os-release, such as `debian`; `_any` for any system.
        version_id: `VERSION_ID` of the system's os-release, such as `13`; see sysext_image.
        confext_level: `CONFEXT_LEVEL` of the system's os-release; if both have one, `version_id` is not compared.
        architecture: of the machines, as `uname -m` prints it; any by default; see sysext_image.
        file_system: `squashfs` or `erofs`.
        uuid: of the EROFS and the hash tree; mandatory if there is one of them.
        salt: of the hash tree, as hexadecimal digits; by default those of `uuid`.
        key: the private key that signs the root hash; see verity_signature_image.
        certificate: of the key, as PEM.
        signature: made elsewhere of the output group `to_sign`, instead of `key`; see verity_signature_image.
        visibility: of all targets.
        tags: of all targets.
        testonly: of all targets.
    """
    extension_image(
        name = name,
        kind = "confext",
        level = confext_level,
        src = src,
        id = id,
        version_id = version_id,
        architecture = architecture,
        file_system = file_system,
        uuid = uuid,
        salt = salt,
        key = key,
        certificate = certificate,
        signature = signature,
        common = {"tags": tags, "testonly": testonly, "visibility": visibility},
    )
