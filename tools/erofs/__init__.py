"""EROFS file systems: a writer and a reader of images without compression."""
