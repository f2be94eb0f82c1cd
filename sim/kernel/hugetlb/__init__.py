"""Memory of the pool of huge pages (hugetlb): reservations, faults, tables that are shared."""
