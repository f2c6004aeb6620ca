"""The ext4 file system: a writer that describes one from a tree, and a reader."""
