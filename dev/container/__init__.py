"""The lock of the packages in the build environment's image."""
