"""Conformance scripts: grammar, random ones, and what the simulated machine does with them."""
