"""The names of the executables of a release.

Bazel loads this file, and the scripts that build without Bazel parse it as Python (description.py). So it
contains only assignments of literals.
"""

# The most important ones first.
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
    "ic-https-outcalls-adapter",
    "ic-onchain-observability-adapter",
    "vsock_guest",
    "compiler_sandbox",
]

# An image without one of these is refused.
REQUIRED_BINARIES = ["orchestrator", "replica"]
