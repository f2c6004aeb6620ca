"""Dependencies that are downloaded, pinned by hash."""
