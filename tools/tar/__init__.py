"""The tar format: header blocks, extended headers and sparse maps, read and written."""
