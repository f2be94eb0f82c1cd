"""The machine's state: frames, page tables, areas, address spaces, tasks, CPUs, and their audit."""
