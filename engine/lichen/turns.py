"""Threads that compute for long take turns, where a program has asked for it: see `lichen.blocking.steady`.

The interpreter gives its lock to all threads that want it alike. A window that paints for a millisecond waits several
times for each of them meanwhile, and all the longer when they are more than there are processors.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE_S = 0.25
"""So long a thread waits for its turn. Then it goes on beside the other: nothing depends on a turn."""


class _Turns:
    def __init__(self) -> None:
        self._taken = False
        self.begin()

    def begin(self) -> None:
        """Nobody has a turn: also in the child of a fork, since a thread that is not there may have it."""
        self._lock = threading.RLock()

    def take(self) -> None:
        """Take turns from now on, in the whole process."""
        self._taken = True

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Compute for long, when it is this thread's turn."""
        lock = self._lock
        mine = self._taken and lock.acquire(timeout=PATIENCE_S)
        try:
            yield
        finally:
            if mine:
                lock.release()


_turns = _Turns()
take_turns = _turns.take
turn = _turns.turn

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_turns.begin)


def in_turn(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it when it is this thread's turn."""
    with turn():
        return work(*args, **kwargs)
