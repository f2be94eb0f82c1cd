"""The machine as arrays of records, shaped like the hardware.

One `Arrays` object crosses into compiled code.  Records are plain signed integers; times are in
ns, sizes in pages, prices in ps.  A link or an identifier of -1 means "none".  Fields narrower
than 64 bits are widened with ``int()`` before arithmetic, so that compiled and plain Python agree.

Functions that work on rows call them by a letter, everywhere the same:

=====  ===========================================  =====  =========================================
``m``  the machine: all its arrays (`Arrays`)       ``s``  an address space (`SPACE`)
``t``  a task (`TASK`)                              ``a``  an area (`AREA`); ``b`` a second one
``o``  the operation it has under way               ``f``  a file (`FILE`)
       (`OPERATION`)                                ``z``  a zone (`ZONE`)
``c``  a CPU (`CPU`)                                ``e``  an entity of the scheduler (`ENTITY`)
``p``  a process (`PROCESS`)                        ``g``  a control group (`GROUP`)
=====  ===========================================  =====  =========================================

Whole words stand for rows by number: `task`, `space`, `area`, `file`, `pfn` (a frame), `leaf` (a
table of the lowest level), `vpn` (a page of an address space).
"""

from sim.machine.layout.areas import *
from sim.machine.layout.arrays import *
from sim.machine.layout.clock import *
from sim.machine.layout.config import *
from sim.machine.layout.cpus import *
from sim.machine.layout.files import *
from sim.machine.layout.frames import *
from sim.machine.layout.groups import *
from sim.machine.layout.images import *
from sim.machine.layout.links import *
from sim.machine.layout.lru import *
from sim.machine.layout.operations import *
from sim.machine.layout.pool import *
from sim.machine.layout.processes import *
from sim.machine.layout.psi import *
from sim.machine.layout.sched import *
from sim.machine.layout.spaces import *
from sim.machine.layout.swap import *
from sim.machine.layout.tables import *
from sim.machine.layout.tasks import *
