"""The reference of the public rules, made from their docstrings."""
