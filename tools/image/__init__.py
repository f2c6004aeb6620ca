"""Images described as extents over their inputs, and the sinks that write them."""
