"""Runs virtual machines in QEMU, for tests and for trying images."""
