"""The GuestOS in constants: what Bazel's rules and the scripts that do without Bazel both build.

This file holds nothing but assignments of literals, so that Python reads it too (tools/guestos/description.py).
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
