"""cowpool: what fork, page faults and memory pressure cost, simulated page by page.

Import from the modules below; this one stays empty so that ``import sim`` is instant.
"""

__version__ = "0.1.0"
