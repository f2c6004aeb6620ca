"""The GuestOS's own Python package. It uses the standard library and programs of the system, and nothing else."""
