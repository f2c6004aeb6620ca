"""The programs that the rules run and that people call: a thin file for each, named after its rule or command."""
