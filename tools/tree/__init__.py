"""Root trees: what a file system holds, before it is in any file system's format."""
