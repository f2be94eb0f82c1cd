"""Print the tables of rules in Markdown: ``python -m sim.machine.rules``.

By release of Linux, and by version of control groups.
"""

import sys

from sim.machine.rules import rules_table
from sim.machine.rules.cgroup import cgroup_table

sys.stdout.write(f"{rules_table()}\n{cgroup_table()}")
