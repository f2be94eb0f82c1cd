"""System calls that change areas, and calls over a range of pages."""
