"""The initial RAM file system: assembled from a root tree, without running any of its programs."""
