"""The action that makes a dm-verity hash tree."""

load("//defs/private:command_action.bzl", "WORKER_REQUIREMENTS", "command_args")
load("//defs/private:identifiers.bzl", "check_salt", "check_uuid")
load("//defs/private:part_image.bzl", "image_args")

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
    args = command_args(ctx)
    inputs = image_args(args, source.parts[0])
    args.add(hashes, format = "--output=%s")
    if recipe:
        args.add("--recipe")
    args.add(root_hash, format = "--root_hash_file=%s")
    digests = getattr(source.parts[0], "digests", None)
    if digests:
        args.add(digests, format = "--digests=%s")
    hash_digests = ctx.actions.declare_file(ctx.label.name + ".hashes.digests.json")
    args.add(hash_digests, format = "--hash_digests=%s")
    args.add(check_salt(ctx.attr.salt, "%s: salt" % ctx.label), format = "--salt=%s")
    args.add(check_uuid(ctx.attr.uuid, "%s: uuid" % ctx.label), format = "--uuid=%s")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._verity_image,
        execution_requirements = WORKER_REQUIREMENTS,
        inputs = inputs + ([digests] if digests else []),
        mnemonic = "VerityImage",
        outputs = [hashes, root_hash, hash_digests],
        progress_message = "Hashing %{input}",
    )
    return root_hash, hash_digests
