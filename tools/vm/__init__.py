"""Virtual machines in QEMU, for tests and for a person who wants to boot an image."""
