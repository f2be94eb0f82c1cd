"""The running machine: what its kernel does with a script, and what its operations cost."""
