"""What every command has: errors, the command line, JSON specifications, complete outputs, progress, threads."""
