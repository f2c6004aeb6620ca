"""The GuestOS without Bazel: what the scripts in ic-os/guestos/scripts do."""
