"""A process that forks waits until no store's thread is in the database's library.

The child has the forking thread alone: a lock of the library that another one holds at that moment, as SQLite's for its
memory, would be held there for ever, and the child could open no store of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 5.0
"""So long a fork waits for what is under way."""


class _Turnstile:
    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Nobody is here: also in the child of a fork, since a thread that is not there may hold the lock."""
        self._gate = threading.Condition()
        self._inside = 0
        self._forking = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Use the library; forks wait, and whoever comes while one is made."""
        with self._gate:
            self._gate.wait_for(lambda: not self._forking)
            self._inside += 1
        try:
            yield
        finally:
            with self._gate:
                self._inside -= 1
                self._gate.notify_all()

    def before(self) -> None:
        """A fork is about to be made."""
        with self._gate:
            self._forking += 1
            self._gate.wait_for(lambda: not self._inside, PATIENCE_S)

    def after_in_parent(self) -> None:
        """It is made."""
        with self._gate:
            self._forking -= 1
            self._gate.notify_all()


_turnstile = _Turnstile()
inside = _turnstile.inside

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_turnstile.before,
        after_in_parent=_turnstile.after_in_parent,
        after_in_child=_turnstile.begin,
    )
