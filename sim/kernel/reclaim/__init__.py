"""What the kernel does to memory of its own accord."""
