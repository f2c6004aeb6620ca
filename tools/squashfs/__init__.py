"""SquashFS 4.0 file systems: a writer and a reader."""
