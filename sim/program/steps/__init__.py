"""Programs written in YAML: a list of steps, its grammar, and what carries it out."""
