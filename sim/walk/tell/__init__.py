"""What the simulated machine did with a script, and why, in words."""
