"""The rule upgrade_image."""

load("//defs/private:archive_outputs.bzl", "ARCHIVE_ATTRS", "part_specs", "write_archives")
load("//defs/private:json_spec.bzl", "json_spec")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:upgrade_image_info.bzl", "UpgradeImageInfo")

def _manifest(ctx, partitions):
    """Declares the action that hashes the images and writes the manifest."""
    output = ctx.actions.declare_file(ctx.label.name + ".manifest.json")
    images, inputs = [], [ctx.file.version_file] + ctx.files.layout
    for name, partition in partitions.items():
        specs, files = part_specs(partition, None)
        image = {"name": name, "parts": specs}
        if partition.verity:
            image["root_hash_file"] = partition.verity.root_hash
            inputs.append(partition.verity.root_hash)
        images.append(image)
        inputs += files
    spec = {
        "architecture": ctx.attr.architecture,
        "disk_guid": ctx.attr.disk_guid or None,
        "images": images,
        "layout": ctx.file.layout,
        "output": output,
        "product": ctx.attr.product,
        "variant": ctx.attr.variant,
        "version_file": ctx.file.version_file,
    }
    ctx.actions.run(
        arguments = [json_spec(ctx, "--spec", spec)],
        executable = ctx.executable._upgrade_manifest,
        execution_requirements = {"supports-path-mapping": "1"},
        inputs = inputs,
        mnemonic = "UpgradeManifest",
        outputs = [output],
        progress_message = "Hashing images for %{label}",
    )
    return output

def _signature(ctx, manifest):
    """Declares the action that signs the manifest; returns None where the image goes without a signature."""
    if not ctx.files.signing_key and not ctx.files.signatures:
        if not ctx.attr.unsigned:
            fail("%s: signing_key, signatures: are both missing, so no machine would install this; give one, or unsigned = True" % ctx.label)
        return None
    output = ctx.actions.declare_file(ctx.label.name + ".manifest.json.sig")
    args = ctx.actions.args()
    args.add(manifest, format = "--manifest=%s")
    args.add_all(ctx.files.signing_key, format_each = "--key=%s")
    args.add_all(ctx.files.signatures, format_each = "--signature=%s")
    args.add_all(ctx.files.public_keys, format_each = "--public_key=%s")
    args.add_all(ctx.files.refused_keys, format_each = "--refused_key=%s")
    args.add(output, format = "--output=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._upgrade_signature,
        # A private key is not handed to other machines.
        execution_requirements = {"no-remote-exec": "1", "supports-path-mapping": "1"},
        inputs = [manifest] + ctx.files.signing_key + ctx.files.signatures + ctx.files.public_keys + ctx.files.refused_keys,
        mnemonic = "UpgradeSignature",
        outputs = [output],
        progress_message = "Signing %{label}",
    )
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

    outputs = write_archives(ctx, ctx.executable._upgrade_image, "UpgradeImage", describe)
    return [
        DefaultInfo(files = depset(outputs.values())),
        OutputGroupInfo(manifest = depset([manifest]), signature = depset(signatures)),
        UpgradeImageInfo(
            archive = outputs["tar"],
            compressed = {codec: outputs[codec] for codec in ("zst", "gz")},
        ),
    ]

upgrade_image = rule(
    implementation = _upgrade_image_impl,
    doc = """What a running system needs to upgrade itself: a tar of a manifest, `boot.img`, `root.img` and `VERSION.TXT`.

The manifest comes first and has a hash for every MiB of the images; its signature follows. The manifest alone is in the
output group `manifest`, for those who sign it elsewhere and hand the signatures over as `signatures`. Each of the three outputs is made only where it is
asked for, by its own label; the target itself asks for all.""",
    attrs = ARCHIVE_ATTRS | {
        "architecture": attr.string(default = "x86_64", doc = "Of the machines, as `uname -m` says it."),
        "boot_partition": attr.label(doc = "What the boot partition will hold.", mandatory = True, providers = [PartitionInfo]),
        "disk_guid": attr.string(doc = "GUID of the machines' disks; needed with `layout`."),
        "layout": attr.label(
            allow_single_file = [".csv"],
            doc = "The partitions of the machines' disks; a machine with others refuses the upgrade.",
        ),
        "product": attr.string(doc = "What it is an upgrade of, such as `guestos`.", mandatory = True),
        "public_keys": attr.label_list(
            allow_files = [".pem"],
            doc = "Public keys that check `signatures`.",
        ),
        "refused_keys": attr.label_list(
            allow_files = [".pem"],
            doc = "Public keys whose private halves must not sign it, such as keys for tests.",
        ),
        "root_partition": attr.label(doc = "What the root partition will hold.", mandatory = True, providers = [PartitionInfo]),
        "signatures": attr.label_list(
            allow_files = True,
            doc = "Files of signatures of the manifest that were made elsewhere; see tools/upgrade/signing.py.",
        ),
        "signing_key": attr.label(
            allow_files = True,
            doc = """Private keys of Ed25519, as PEM files, each of which signs the manifest; a target without files is none.

            They are used on the machine that builds, never on remote executors.""",
        ),
        "unsigned": attr.bool(doc = "Whether it may go without a signature where there is no key; machines refuse it then."),
        "variant": attr.string(doc = "Such as `dev` or `prod`; a machine takes upgrades of its own.", mandatory = True),
        "version_file": attr.label(allow_single_file = True, doc = "A file with the version.", mandatory = True),
        "_upgrade_image": attr.label(default = "//tools/commands:upgrade_image", executable = True, cfg = "exec"),
        "_upgrade_manifest": attr.label(
            default = "//tools/commands:upgrade_manifest",
            executable = True,
            cfg = "exec",
        ),
        "_upgrade_signature": attr.label(
            default = "//tools/commands:upgrade_signature",
            executable = True,
            cfg = "exec",
        ),
    },
    provides = [UpgradeImageInfo],
)
