"""The rule upgrade_image."""

load("//defs/private:archive_outputs.bzl", "ARCHIVE_ATTRS", "part_specs", "write_archives")
load("//defs/private:json_spec.bzl", "json_spec")
load("//defs/private:partition_info.bzl", "PartitionInfo")
load("//defs/private:upgrade_image_info.bzl", "UpgradeImageInfo")

def _manifest(ctx, partitions):
    """Declares the action that hashes the images and writes the manifest."""
    output = ctx.actions.declare_file(ctx.label.name + ".manifest.json")
    images, inputs = [], [ctx.file.version_file]
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
        "images": images,
        "output": output,
        "product": ctx.attr.product,
        "variant": ctx.attr.variant,
        "version_file": ctx.file.version_file,
    }
    ctx.actions.run(
        arguments = [json_spec(ctx, "--spec", spec)],
        executable = ctx.executable._build_upgrade_manifest,
        execution_requirements = {"supports-path-mapping": "1"},
        inputs = inputs,
        mnemonic = "UpgradeManifest",
        outputs = [output],
        progress_message = "Hashing images for %{label}",
    )
    return output

def _upgrade_image_impl(ctx):
    partitions = {
        "boot.img": ctx.attr.boot_partition[PartitionInfo],
        "root.img": ctx.attr.root_partition[PartitionInfo],
    }
    manifest = _manifest(ctx, partitions)

    def describe(codec):
        images, inputs = [], [manifest]
        for name, partition in partitions.items():
            specs, files = part_specs(partition, codec)
            images.append({"name": name, "parts": specs})
            inputs += files
        return {"images": images, "manifest": manifest}, inputs

    outputs = write_archives(ctx, ctx.executable._build_upgrade_image, "UpgradeImage", describe)
    return [
        DefaultInfo(files = depset(outputs.values())),
        OutputGroupInfo(manifest = depset([manifest])),
        UpgradeImageInfo(
            archive = outputs["tar"],
            compressed = {codec: outputs[codec] for codec in ("zst", "gz")},
        ),
    ]

upgrade_image = rule(
    implementation = _upgrade_image_impl,
    doc = """What a running system needs to upgrade itself: a tar of a manifest, `boot.img`, `root.img` and `VERSION.TXT`.

The manifest comes first and has a hash for every MiB of the images. Each of the three outputs is made only where it is
asked for, by its own label; the target itself asks for all.""",
    attrs = ARCHIVE_ATTRS | {
        "architecture": attr.string(default = "x86_64", doc = "Of the machines, as `uname -m` says it."),
        "boot_partition": attr.label(doc = "What the boot partition will hold.", mandatory = True, providers = [PartitionInfo]),
        "product": attr.string(doc = "What it is an upgrade of, such as `guestos`.", mandatory = True),
        "root_partition": attr.label(doc = "What the root partition will hold.", mandatory = True, providers = [PartitionInfo]),
        "variant": attr.string(doc = "Such as `dev` or `prod`; a machine takes upgrades of its own.", mandatory = True),
        "version_file": attr.label(allow_single_file = True, doc = "A file with the version.", mandatory = True),
        "_build_upgrade_image": attr.label(default = "//tools:build_upgrade_image", executable = True, cfg = "exec"),
        "_build_upgrade_manifest": attr.label(
            default = "//tools:build_upgrade_manifest",
            executable = True,
            cfg = "exec",
        ),
    },
    provides = [UpgradeImageInfo],
)
