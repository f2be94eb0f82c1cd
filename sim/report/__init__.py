"""Reports: one self-contained page with figures, from plain facts and tables.

Nothing here computes a result or reads a store: `page.write_report` gets what `sim.study` found,
as JSON-able facts and tidy tables, and shows it.
"""
