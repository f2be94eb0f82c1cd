"""Who decides: scheduling, and the choice of a victim when memory is out."""
