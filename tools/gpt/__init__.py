"""Parses disk layouts, and writes and reads GUID partition tables (GPT)."""
