"""The accounts of a system, put into its /etc/passwd and the like when its image is built."""
