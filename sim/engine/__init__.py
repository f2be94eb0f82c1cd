"""When things happen: SimPy owns the clock, a compiled burst does the touching."""
