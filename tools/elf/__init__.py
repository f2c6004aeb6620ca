"""Reads ELF files: programs and shared libraries."""
