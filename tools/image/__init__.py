"""Images as lists of extents over their inputs; writing, comparing, hashing and compressing them."""
