"""OCI images: reads layouts, and applies their layers to a root tree."""
