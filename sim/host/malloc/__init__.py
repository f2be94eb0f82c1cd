"""Scripts of malloc and free: predicted by the models, run with the real libraries, compared."""
