"""The boot loader GRUB: programs with modules and configuration in them, and signatures that GRUB verifies."""
