"""Studies: sweeps, replications, the store of their results, and what the results say.

A study is planned (`plan`), carried out (`run`, `executor`), kept (`store`) and analysed
(`analyse`); the parts are joined by plain tables.  What a page of the report looks like is
`sim.report`'s business, which sees those tables and nothing else.
"""
