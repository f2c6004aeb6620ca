"""The GuestOS in constants: what Bazel's rules and the scripts that do without Bazel both build.

This file holds nothing but assignments of literals, so that Python reads it too (ic-os/guestos/tools/guestos_tools/description.py).
"""

# The executables of a release, in the order of their importance, and those without which there is no image.
RELEASE_BINARIES = [
    "orchestrator",
    "replica",
    "canister_sandbox",
    "sandbox_launcher",
    "vsock_agent",
    "state-tool",
    "ic-consensus-pool-util",
    "ic-crypto-csp",
    "ic-regedit",
    "ic-recovery",
    "ic-btc-adapter",
    "ic-canister-http-adapter",
]
REQUIRED_BINARIES = ["orchestrator", "replica"]

# What can stand in file names, URLs and a line of text.
VERSION_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+~_-"

DEFAULT_VERSION = "0.0.0"

# Of root on the console of dev.
DEV_PASSWORD = "root"
