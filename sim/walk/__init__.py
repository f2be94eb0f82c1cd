"""The command `cowpool walk`: conformance scripts told step by step.

`tell.story` has the simulated machine carry a script out and takes down what it did; `tell.state`
is what its memory looks like; everything else says or draws what those two found, and decides
nothing.
"""
