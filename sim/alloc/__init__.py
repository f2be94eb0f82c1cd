"""Models of malloc: where allocations lie, what the library touches and asks of the kernel."""
