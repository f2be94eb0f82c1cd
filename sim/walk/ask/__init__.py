"""Questions about a script, asked before the answer is shown."""
