"""What a machine with two systems runs: boot loader's configuration, first process, update program."""
