"""Print a trace of 20,000 references to 100 pages: a loop, popular pages, or phases.

python experiments/008_page_replacement/traces.py loop|zipf|phases | cowpool walk --trace - ...
"""

import sys

import numpy as np

REFERENCES = 20_000
PAGES = 100
LOCALITY = 20
"""Pages of a phase, which are used uniformly."""
PHASE = 1_000
"""References of a phase; the next has other pages, drawn anew."""


def loop(rng):
    """All pages in order, again and again."""
    return np.arange(REFERENCES) % PAGES


def zipf(rng):
    """Independent references, to page k with a chance proportional to 1 / (k + 1)."""
    weights = 1 / np.arange(1, PAGES + 1)
    return rng.choice(PAGES, REFERENCES, p=weights / weights.sum())


def phases(rng):
    """Phases with few pages each (Denning's localities)."""
    parts = []
    for _ in range(REFERENCES // PHASE):
        pages = rng.choice(PAGES, LOCALITY, replace=False)
        parts.append(rng.choice(pages, PHASE))
    return np.concatenate(parts)


TRACES = {"loop": loop, "zipf": zipf, "phases": phases}

if __name__ == "__main__":
    if sys.argv[1:] not in [[name] for name in TRACES]:
        sys.exit(f"write one of {', '.join(TRACES)}")
    sys.stdout.write("\n".join(map(str, TRACES[sys.argv[1]](np.random.default_rng(1)))) + "\n")
