"""What the interpreter and the system do to a window while other threads of its program work."""

from __future__ import annotations

import gc
import os
import sys
import threading
from contextlib import suppress

from lichen.turns import take_turns

SWITCH_S = 0.0002
"""After so long another thread gets to compute; 25 times as long, as it is from the start, is much for a window."""
YOUNG, TIMES, RARELY = 1_000, 5, 1_000
"""Objects that are made before the collector looks through them; how often before it looks through those that stayed, a
millisecond or two in which no other thread computes; and how often that before all."""
NICE = 5
"""By how much other threads give way to the caller's where both want a processor: these get a third of the time."""


def steady() -> None:
    """Have a window stall less; call it once, on its thread, when windows stand and the engine is open.

    It is the program's to decide, since it holds for the whole process: what is there now is never looked through again
    by the garbage collector, which takes some 50 ms each time, threads change places after a fifth of a millisecond,
    those of engines that compute for long go one after the other, and on Linux, where threads have priorities of their
    own, all others and what these start give way to the caller's.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, TIMES, RARELY)
    sys.setswitchinterval(SWITCH_S)
    take_turns()
    _give_way(threading.get_native_id())


def _give_way(own: int) -> None:
    if sys.platform == "linux":
        priority = min(os.getpriority(os.PRIO_PROCESS, own) + NICE, 19)
        for thread in threading.enumerate():
            if thread.native_id is not None and thread.native_id != own:
                with suppress(ProcessLookupError):  # it has ended meanwhile
                    if os.getpriority(os.PRIO_PROCESS, thread.native_id) < priority:  # else not all may change it
                        os.setpriority(os.PRIO_PROCESS, thread.native_id, priority)
