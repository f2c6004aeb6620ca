"""dm-verity hash trees, with which the kernel verifies each block of a read-only partition when it is read."""
