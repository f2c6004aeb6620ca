"""Builds an initramfs from parts of a root tree, without running its programs."""
