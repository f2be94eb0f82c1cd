"""What is claimed of memory under a limit: each claim by name, predicted and asked for."""
