"""Discoverable disk images: what systemd finds, verifies and mounts by itself."""
