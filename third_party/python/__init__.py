"""The pinned Python wheels, and the tool that refreshes their lock."""
