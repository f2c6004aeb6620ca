"""The rule upgrade_image."""

load("//defs/private:architecture.bzl", "ARCHITECTURE_ATTRS", "image_architecture")
load("//defs/private:archive_outputs.bzl", "ARCHIVE_ATTRS", "part_specs", "write_archives")
load("//defs/private:command_action.bzl", "SIGNING_REQUIREMENTS", "command_action")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:identifiers.bzl", "check_uuid")
load("//defs/private:image_groups.bzl", "archive_groups")
load("//defs/private:json_spec.bzl", "command_args")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:resources.bzl", "threaded_resources")
load("//defs/private:sbom.bzl", "SBOM_ATTRS", "partition_contents", "sbom_outputs")
load("//defs/private:upgrade_image_info.bzl", "UpgradeImageInfo")

def _manifest(ctx, partitions):
    """Declares the action that hashes the images and writes the manifest."""
    output = ctx.actions.declare_file(ctx.label.name + ".manifest.json")
    images, inputs = [], [ctx.file.version_file] + ctx.files.layout + ctx.files.rollback_index_file
    for name, partition in partitions.items():
        specs, files = part_specs(partition, None, with_digests = True)
        image = {"name": name, "parts": specs}
        if partition.verity:
            image["root_hash_file"] = partition.verity.root_hash
            inputs.append(partition.verity.root_hash)
        images.append(image)
        inputs += files
    spec = {
        "architecture": image_architecture(ctx),
        "disk_guid": check_uuid(ctx.attr.disk_guid, "%s: disk_guid" % ctx.label, optional = True) or None,
        "images": images,
        "layout": ctx.file.layout,
        "output": output,
        "product": ctx.attr.product,
        "rollback_index": ctx.attr.rollback_index or None,
        "rollback_index_file": ctx.file.rollback_index_file,
        "trust": ctx.attr.trust,
        "variant": ctx.attr.variant,
        "version_file": ctx.file.version_file,
    }
    message = "Hashing images for %{label}"
    command_action(ctx, "UpgradeManifest", ctx.executable._upgrade_manifest, spec, inputs, [output], message, resources = threaded_resources)
    return output

def _signature(ctx, manifest):
    """Declares the action that signs the manifest; returns its output, or None if the image is not signed."""
    if not ctx.files.signing_key and not ctx.files.signatures:
        if not ctx.attr.unsigned:
            fail("%s: signing_key, signatures: are both missing, so no machine would install this; give one, or unsigned = True" % ctx.label)
        return None
    output = ctx.actions.declare_file(ctx.label.name + ".manifest.json.sig")
    args = command_args(
        ctx,
        key = ctx.files.signing_key,
        manifest = manifest,
        output = output,
        public_key = ctx.files.public_keys,
        refused_key = ctx.files.refused_keys,
        signature = ctx.files.signatures,
    )
    inputs = [manifest] + ctx.files.signing_key + ctx.files.signatures + ctx.files.public_keys + ctx.files.refused_keys
    command_action(ctx, "UpgradeSignature", ctx.executable._upgrade_signature, args, inputs, [output], "Signing %{output}", SIGNING_REQUIREMENTS)
    return output

def _upgrade_image_impl(ctx):
    partitions = {
        "boot.img": ctx.attr.boot_partition[PartitionInfo],
        "root.img": ctx.attr.root_partition[PartitionInfo],
    }
    manifest = _manifest(ctx, partitions)
    signature = _signature(ctx, manifest)
    signatures = [signature] if signature else []

    def describe(codec):
        images, inputs = [], [manifest] + signatures
        for name, partition in partitions.items():
            specs, files = part_specs(partition, codec)
            images.append({"name": name, "parts": specs})
            inputs += files
        return {"images": images, "manifest": manifest, "signature": signature}, inputs

    outputs, files = write_archives(ctx, ctx.executable._upgrade_image, "UpgradeImage", describe)
    contents = {}
    for name, partition in partitions.items():
        contents |= partition_contents(partition, name)
    sbom = sbom_outputs(ctx, contents, ctx.file.version_file) if contents else None
    return [
        DefaultInfo(files = files),
        OutputGroupInfo(
            manifest = depset([manifest]),
            signature = depset(signatures),
            **archive_groups(outputs, partitions.values(), sbom)
        ),
        UpgradeImageInfo(
            archive = outputs["tar"],
            compressed = {codec: outputs[codec] for codec in ("zst", "gz")},
            contents = contents,
        ),
    ]

upgrade_image = rule(
    implementation = _upgrade_image_impl,
    doc = """An update image, which upgrades a running system: a tar of a manifest, `boot.img`, `root.img`, `VERSION.TXT`.

The manifest is the first member and has a hash for every MiB of the images; its signatures are the second. The output
group `manifest` has the manifest alone, so that it can be signed elsewhere; `signatures` takes the result. Each of the
three formats has a label of its own, and is built only if it is requested; the target itself requests all. The action
that writes one also writes its checksum. Other output groups: `zst` and `gz` have the compressed archives, `mtree` lists
of the images' files in the form of mtree(5), and `sbom` bills of materials, `NAME.spdx.json` (SPDX 2.3) and
`NAME.cdx.json` (CycloneDX 1.6).""",
    attrs = ARCHITECTURE_ATTRS | ARCHIVE_ATTRS | SBOM_ATTRS | {
        "architecture": attr.string(doc = "Architecture of the machines, as `uname -m` prints it; by default that of the target platform."),
        "boot_partition": attr.label(doc = "The image of the boot partition.", mandatory = True, providers = [PartitionInfo]),
        "disk_guid": attr.string(doc = "GUID of the machines' disks; needed with `layout`."),
        "layout": attr.label(
            allow_single_file = [".csv"],
            doc = "The layout of the machines' disks; a machine with another layout refuses the upgrade.",
        ),
        "product": attr.string(doc = "The product that is upgraded, such as `appliance`.", mandatory = True),
        "public_keys": attr.label_list(
            allow_files = True,
            doc = "Public keys by which machines accept the image, as PEM files: `signatures` are verified with them, and " +
                  "`signing_key` must have the private half of one of them. A target without files means none: then the " +
                  "key is not checked.",
        ),
        "refused_keys": attr.label_list(
            allow_files = [".pem"],
            doc = "Public keys whose private halves must not sign the manifest, such as keys for tests.",
        ),
        "rollback_index": attr.int(
            doc = """The rollback index, in the signed manifest: a machine that has confirmed a system with a higher one refuses this one.

            Raise it with a release that mends a flaw of earlier ones, so that nobody can install those again.""",
        ),
        "rollback_index_file": attr.label(
            allow_single_file = True,
            doc = "A file with the rollback index, instead of `rollback_index`.",
        ),
        "root_partition": attr.label(doc = "The image of the root partition.", mandatory = True, providers = [PartitionInfo]),
        "signatures": attr.label_list(
            allow_files = True,
            doc = "Files of signatures that were made elsewhere; tools/upgrade/signing.py describes the format.",
        ),
        "signing_key": attr.label(
            allow_files = True,
            doc = """Ed25519 private keys, as PEM files, each of which signs the manifest; a target without files means none.

            The action that uses them runs on the local machine, never on a remote executor.""",
        ),
        "trust": attr.string(
            default = "distribution",
            doc = """The mode of trust that the partitions are built for; a machine of the other mode refuses the upgrade, which its boot loader would not start.

            `distribution`: shim and GRUB of the distribution start a kernel. `own_keys`: a boot loader with the product's own
            signature starts a `unified_kernel_image`.""",
            values = ["distribution", "own_keys"],
        ),
        "unsigned": attr.bool(doc = "Whether the image is built without a signature if there is no key; machines refuse it then."),
        "variant": attr.string(doc = "Variant of the machines, such as `dev` or `prod`; others refuse the upgrade.", mandatory = True),
        "version_file": attr.label(allow_single_file = True, doc = "A file with the version.", mandatory = True),
        "_upgrade_image": attr.label(default = "//tools/commands:upgrade_image", executable = True, cfg = "exec"),
        "_upgrade_manifest": attr.label(default = "//tools/commands:upgrade_manifest", executable = True, cfg = "exec"),
        "_upgrade_signature": attr.label(default = "//tools/commands:upgrade_signature", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    provides = [UpgradeImageInfo],
)
