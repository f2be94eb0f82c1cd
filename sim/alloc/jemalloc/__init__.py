"""jemalloc, as of 5.3."""
