"""Upgrade images: a manifest of what they install, and the images of the partitions."""
