"""ISO 9660 file systems over a disk: structures on a medium, and their place before the first partition."""
