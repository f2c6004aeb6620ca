"""Builds root trees from a specification: layers, accounts, and paths to remove."""
