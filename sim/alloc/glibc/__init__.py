"""glibc's malloc, as of 2.36."""
