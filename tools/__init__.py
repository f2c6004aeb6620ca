"""Libraries and command lines that describe and write operating system images."""
