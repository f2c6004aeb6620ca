"""Completion of the commands in the shell."""
