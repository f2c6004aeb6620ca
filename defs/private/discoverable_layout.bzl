"""The rule discoverable_layout."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:verity_info.bzl", "VerityInfo")

def _discoverable_layout_impl(ctx):
    root_hashes = {}
    for target, names in ctx.attr.root_hashes.items():
        for name in names.split(" "):
            if name in root_hashes:
                fail("%s: root_hashes: partition %s is given twice; give it to one hash tree" % (ctx.label, name))
            root_hashes[name] = target[VerityInfo].root_hash
    output = ctx.actions.declare_file(ctx.label.name + ".csv")
    spec = {"layout": ctx.file.layout, "output": output, "root_hash_file": root_hashes}
    inputs = [ctx.file.layout] + root_hashes.values()
    command_action(ctx, "DiscoverableLayout", ctx.executable._discoverable_layout, spec, inputs, [output], "Writing %{output}")
    return [DefaultInfo(files = depset([output]))]

discoverable_layout = rule(
    implementation = _discoverable_layout_impl,
    doc = """A layout, `NAME.csv`, whose partitions have the UUIDs by which systemd finds those of a root hash.

The UUID of the partition with the data is the first 128 bits of the root hash, that of the partition with the hash tree the
last 128 bits: so `roothash=` or `usrhash=` on the kernel command line is all that systemd needs. It is the `layout` of a
disk_image. The UUIDs change with the content, so it is not for rules that find partitions of a machine by the UUIDs of its
layout, such as `initramfs` and `upgrade_image`.""",
    attrs = {
        "layout": attr.label(
            allow_single_file = [".csv"],
            doc = "The layout; the partitions of `root_hashes` have no UUID in it.",
            mandatory = True,
        ),
        "root_hashes": attr.label_keyed_string_dict(
            doc = "Dict of hash trees, each a verity_hash_image, to the names of the partitions whose UUIDs are made from " +
                  "the root hash, separated by spaces: `{\":hashes\": \"root root-verity\"}`. Types say which of the " +
                  "two a partition is: `root-ARCH` or `usr-ARCH`, or these with `-verity`.",
            mandatory = True,
            providers = [VerityInfo],
        ),
        "_discoverable_layout": attr.label(default = "//tools/commands:discoverable_layout", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
)
