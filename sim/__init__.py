"""cowpool: what fork, page faults and memory pressure cost, simulated page by page.

Plug-ins import from `sim.plugin`.  This module stays next to empty so that ``import sim`` is
instant.
"""

import sys
from time import time_ns

from sim.moved import Moved

__version__ = "0.1.0"
BEGAN_NS = time_ns()
"""When this process began to read the package; a file may have been edited since."""

sys.meta_path.append(Moved)
