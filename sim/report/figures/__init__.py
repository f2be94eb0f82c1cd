"""The figures, one question a module; each function returns `None` where it has no data."""
