"""Creates the files of a release."""
