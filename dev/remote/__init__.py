"""Local servers for a remote cache and for remote execution."""
