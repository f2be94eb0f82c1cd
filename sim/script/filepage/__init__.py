"""Reads of files under a limit: scripts of their own, drawn at random, and predicted."""
