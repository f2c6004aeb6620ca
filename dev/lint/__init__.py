"""The lint: formatting, types, imports and shell checks for all files of the checkout."""
