"""What the interpreter does to a window while other threads of its program work."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.0005
"""After so long another thread gets to compute; ten times as long, as it is from the start, is much for a window."""
YOUNG, TIMES, RARELY = 5_000, 5, 200
"""Objects that are made before the collector looks through them; how often before it looks through those that stayed,
some milliseconds; and how often that before all."""


def steady() -> None:
    """Have the interpreter stall a window less; call it once, when windows stand.

    It is the program's to decide, since it holds for the whole process: what is there now is never looked through again
    by the garbage collector, which takes some 50 ms each time, and threads take turns of half a millisecond.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, TIMES, RARELY)
    sys.setswitchinterval(SWITCH_S)
