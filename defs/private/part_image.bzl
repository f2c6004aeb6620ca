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
