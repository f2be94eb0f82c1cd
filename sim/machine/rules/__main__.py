"""Print the table of rules by release, in Markdown: ``python -m sim.machine.rules``."""

import sys

from sim.machine.rules import rules_table

sys.stdout.write(rules_table())
