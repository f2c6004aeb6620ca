"""Reads ELF files: programs, shared libraries and object files."""
