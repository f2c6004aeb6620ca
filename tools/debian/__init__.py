"""Resolves, locks, reads and installs Debian packages."""
