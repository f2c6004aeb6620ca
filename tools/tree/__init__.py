"""Trees of files with their metadata, independent of the format of a file system."""
