"""What is known of the pieces of an image without reading them: their digests, and what was made of them before."""
