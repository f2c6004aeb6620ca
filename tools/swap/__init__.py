"""Swap areas of Linux."""
