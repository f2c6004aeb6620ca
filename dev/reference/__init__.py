"""Generates the reference of the public rules from their docstrings."""
