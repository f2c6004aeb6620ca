"""FAT file systems (FAT12, FAT16, FAT32, with long names): their writer and their reader."""
