"""The command `cowpool walk`: conformance scripts told step by step.

`story` has the simulated machine carry a script out and takes down what it did; `state` is what its
memory looks like; everything else says or draws what those two found, and decides nothing.
"""
