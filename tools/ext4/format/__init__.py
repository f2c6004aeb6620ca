"""The structures of ext4 on the disk, packed and unpacked; where they are placed is decided by the planner."""
