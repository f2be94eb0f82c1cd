"""What an access does: the decision tables of page faults, small and huge."""
