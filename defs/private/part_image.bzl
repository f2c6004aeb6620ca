"""How actions get the image of a part of a partition: its recipe with the files that it has ranges of, or the tar."""

def image_files(part):
    """Returns the file to open, and the list of the files that it has ranges of.

    Args:
        part: struct, as in PartitionInfo.

    Returns:
        File, and list of Files.
    """
    recipe = getattr(part, "recipe", None)
    return (recipe, part.sources) if recipe else (part.image, [])

def image_args(args, part):
    """Adds the arguments by which a command reads the image of a part.

    Args:
        args: Args of the action.
        part: struct, as in PartitionInfo.

    Returns:
        List of the Files that the command reads.
    """
    image, sources = image_files(part)
    args.add(image, format = "--input=%s")
    args.add_all(sources, expand_directories = False, format_each = "--source=%s")
    return [image] + sources
