"""Starting programs for real, with what the simulated machine says beside it."""
