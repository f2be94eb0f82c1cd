"""The running machine: what its kernel does with a script, beside what was predicted."""
