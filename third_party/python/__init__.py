"""The pinned Python wheels, and the tool that updates their lock."""
