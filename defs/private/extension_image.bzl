"""The rule extension_image, and the targets before it."""

load("//defs/private:architecture.bzl", "ARCHITECTURE_ATTRS", "image_architecture")
load("//defs/private:attributes.bzl", "check_types", "macro_label")
load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:erofs_image.bzl", "erofs_image")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:extension_release.bzl", "extension_release")
load("//defs/private:image_groups.bzl", "EXPORT_ATTRS", "export_image")
load("//defs/private:json_spec.bzl", "command_args")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:rootfs_tree.bzl", "rootfs_tree")
load("//defs/private:squashfs_image.bzl", "squashfs_image")
load("//defs/private:verity_hash_image.bzl", "verity_hash_image")
load("//defs/private:verity_info.bzl", "VerityInfo")
load("//defs/private:verity_signature_image.bzl", "verity_signature_image")

# Where systemd looks for the release file of an extension, by its kind (os-release(5)).
_RELEASE_FOLDERS = {"confext": "etc", "sysext": "usr/lib"}

def _disk(ctx, data):
    """Declares the action that makes the disk of a signed image."""
    output = ctx.actions.declare_file(ctx.label.name + ".raw")
    hashes = ctx.attr.hashes[PartitionInfo].parts[0].image
    root_hash = ctx.attr.hashes[VerityInfo].root_hash
    signature = ctx.attr.signature[PartitionInfo].parts[0].image
    args = command_args(
        ctx,
        architecture = image_architecture(ctx),
        data = data,
        hashes = hashes,
        output = output,
        root_hash_file = root_hash,
        signature = signature,
    )
    command_action(ctx, "DiscoverableImage", ctx.executable._discoverable_image, args, [data, hashes, root_hash, signature], [output])
    return output

def _extension_image_impl(ctx):
    parts = ctx.attr.file_system[PartitionInfo].parts
    groups = ctx.attr.file_system[OutputGroupInfo]
    output = _disk(ctx, parts[0].image) if ctx.attr.hashes else export_image(ctx, ".raw", parts)
    return [
        DefaultInfo(files = depset([output])),
        OutputGroupInfo(
            mtree = groups.mtree,
            root_hash = ctx.attr.hashes[OutputGroupInfo].root_hash if ctx.attr.hashes else depset(),
            sbom = groups.sbom,
            to_sign = ctx.attr.signature[OutputGroupInfo].to_sign if ctx.attr.signature else depset(),
        ),
    ]

_extension_image = rule(
    implementation = _extension_image_impl,
    doc = "An extension image, `NAME.raw`: a file system, or a disk with one, its hash tree and signature.",
    attrs = ARCHITECTURE_ATTRS | EXPORT_ATTRS | {
        "architecture": attr.string(doc = "As `uname -m` prints it; by default that of the target platform."),
        "file_system": attr.label(doc = "The file system.", mandatory = True, providers = [PartitionInfo]),
        "hashes": attr.label(doc = "Its hash tree.", providers = [PartitionInfo, VerityInfo]),
        "signature": attr.label(doc = "The signature of the root hash.", providers = [PartitionInfo]),
        "_discoverable_image": attr.label(default = "//tools/commands:discoverable_image", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)

# The arguments are those of sysext_image and confext_image; `common` has the attributes of all targets.
# buildifier: disable=function-docstring-args
def extension_image(name, kind, level, src, id, version_id, architecture, file_system, uuid, salt, key, certificate, signature, common):
    """Declares an extension image and the targets before it. `kind` is `sysext` or `confext`, `level` the SYSEXT_LEVEL or CONFEXT_LEVEL."""
    label = macro_label(name)
    check_types(label, "string", {"file_system": file_system, "salt": salt, "uuid": uuid}, configurable = False)
    if "/" in name or " " in name:
        fail("%s: name: is that of the file and must not have a slash or a space" % label)
    if file_system not in ("erofs", "squashfs"):
        fail("%s: file_system: %r is neither \"erofs\" nor \"squashfs\"" % (label, file_system))
    signed = bool(key or signature)
    if signed != bool(certificate) or (key and signature):
        fail("%s: certificate: belongs to one of key and signature; give both or none" % label)
    if not uuid and (signed or file_system == "erofs"):
        fail("%s: uuid: is missing; `uuidgen` makes one" % label)
    release = "%s/extension-release.d/extension-release.%s" % (_RELEASE_FOLDERS[kind], name)
    extension_release(
        name = name + ".release",
        src = src,
        architecture = architecture,
        id = id,
        image = label,
        kind = kind,
        level = level,
        version_id = version_id,
        **common
    )
    rootfs_tree(name = name + ".tree", extra_files = {":%s.release" % name: release}, layers = [src], **common)
    if file_system == "erofs":
        erofs_image(name = name + ".fs", src = ":%s.tree" % name, uuid = uuid, **common)
    else:
        squashfs_image(name = name + ".fs", src = ":%s.tree" % name, **common)
    if signed:
        verity_hash_image(name = name + ".hashes", src = ":%s.fs" % name, salt = salt or uuid.replace("-", ""), uuid = uuid, **common)
        verity_signature_image(
            name = name + ".signature",
            src = ":%s.hashes" % name,
            certificate = certificate,
            key = key,
            signature = signature,
            **common
        )
    _extension_image(
        name = name,
        architecture = "" if architecture == "any" else architecture,
        file_system = ":%s.fs" % name,
        hashes = ":%s.hashes" % name if signed else None,
        signature = ":%s.signature" % name if signed else None,
        **common
    )
