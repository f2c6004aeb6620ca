"""Debian packages: the lock file, reading .deb files, and installing a locked set into a root."""
