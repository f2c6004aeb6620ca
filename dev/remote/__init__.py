"""Servers of a remote cache and of remote execution, for one machine."""
