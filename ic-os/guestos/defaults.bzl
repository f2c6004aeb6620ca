"""Defaults of the images, and the characters of a version.

Bazel loads this file, and the scripts that build without Bazel parse it as Python (description.py). So it
contains only assignments of literals.
"""

DEFAULT_VERSION = "0.0.0"

# What the orchestrator and the replica of a release take as a version.
VERSION_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-"

# The password of root on the console of dev.
DEV_PASSWORD = "root"
