"""dm-verity: hash trees that let the kernel check every block of a read-only partition when it is read."""
