"""Scripts of malloc and free, run with the real libraries and compared with the models."""
