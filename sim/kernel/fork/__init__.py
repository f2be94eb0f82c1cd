"""How tasks begin and end: fork, vfork, exit, and leaf tables shared with a child."""
