"""Reports: one self-contained page with figures, from plain facts and tables.

Nothing here computes a result or reads a store: `page.write_report` gets what `sim.study` found,
as JSON-able facts and tidy tables, and shows it.
"""

import logging
import os

from sim.base.cache import cache_folder

if "MPLCONFIGDIR" not in os.environ:
    # Matplotlib keeps its list of fonts there.  It would complain where the home is read-only, and
    # take its settings from the user's own file: the same study would look different elsewhere.
    _folder = cache_folder()
    if _folder is not None:
        os.environ["MPLCONFIGDIR"] = str(_folder / "matplotlib")
logging.getLogger("matplotlib").setLevel(logging.ERROR)
