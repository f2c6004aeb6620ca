"""The action that makes a dm-verity hash tree."""

load("//defs/private:command_action.bzl", "command_action")
load("//defs/private:identifiers.bzl", "check_salt", "check_uuid")
load("//defs/private:part_image.bzl", "image_files")

HASH_BLOCK = 4096

HASH_TREE_ATTRS = {
    "salt": attr.string(
        doc = "Up to 256 bytes, as hexadecimal digits, that are hashed before every block; `-` for none. " +
              "Images of different products should have different salts.",
        mandatory = True,
    ),
    "uuid": attr.string(doc = "UUID of the hash tree.", mandatory = True),
    "_verity_image": attr.label(default = "//tools/commands:verity_image", executable = True, cfg = "exec"),
}

def hash_tree(ctx, source, hashes, recipe = False):
    """Declares the action that makes the hash tree over an image.

    Args:
        ctx: of a rule with HASH_TREE_ATTRS and `src`.
        source: PartitionInfo of `src`.
        hashes: File to write, a tar with the hash tree, or a recipe of it.
        recipe: whether it is a recipe.

    Returns:
        The File with the root hash, and that with the SHA-256 of each MiB of the hash tree.
    """
    if len(source.parts) != 1 or source.parts[0].offset != 0:
        fail("%s: src: %s is made of %d parts; give the image of one file system" % (ctx.label, ctx.attr.src.label, len(source.parts)))
    if source.size != None and source.size % HASH_BLOCK:
        fail("%s: src: %s has %d bytes; choose a size in whole blocks of %d bytes" % (ctx.label, ctx.attr.src.label, source.size, HASH_BLOCK))
    root_hash = ctx.actions.declare_file(ctx.label.name + ".root_hash")
    hash_digests = ctx.actions.declare_file(ctx.label.name + ".hashes.digests.json")
    image, sources = image_files(source.parts[0])
    digests = getattr(source.parts[0], "digests", None)
    spec = {
        "digests": digests,
        "hash_digests": hash_digests,
        "input": image,
        "output": hashes,
        "recipe": recipe or None,
        "root_hash_file": root_hash,
        "salt": check_salt(ctx.attr.salt, "%s: salt" % ctx.label),
        "source": sources or None,
        "uuid": check_uuid(ctx.attr.uuid, "%s: uuid" % ctx.label),
    }
    inputs = [image] + sources + ([digests] if digests else [])
    command_action(ctx, "VerityImage", ctx.executable._verity_image, spec, inputs, [hashes, root_hash, hash_digests], "Hashing %{input}")
    return root_hash, hash_digests
