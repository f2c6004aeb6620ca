"""What is fetched from elsewhere, pinned by hash."""
