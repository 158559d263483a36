"""What one connection of a session does now."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lichen.ids import SpaceId
from lichen.store.loan import Loan

from lichen_adapters.orm.capture import Told
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.journal import Journal
from lichen_adapters.orm.watching import Watch


@dataclass(slots=True)
class Writing:
    """What one connection does now."""

    watch: Watch
    journal: Journal
    begun: bool = False
    over: bool = False
    """It is committed, and SQLAlchemy's own commit, which comes after that, would take what is written with it."""
    loan: Loan | None = None
    asked: Loan | None = None
    """A loan that is waited for."""
    space: SpaceId | None = None
    told: Told = field(default_factory=Told)
    info: dict[Any, Any] = field(default_factory=dict)
    """What the session knows that writes, as in `Session.info`."""
    _beginning: Future[None] | None = None
    """Resolves when the transaction that is being begun is so, or is not to be."""
    _is_refused: bool = False
    """It is rolled back already."""

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """A transaction is begun in this block. Raises `SessionMisuse` where another task is at it, or ends it."""
        if self._beginning is not None:
            raise used_at_once()
        self._beginning, self._is_refused = Future(), False
        try:
            yield
            if self._is_refused:
                raise used_at_once()
        finally:
            beginning, self._beginning = self._beginning, None
            beginning.set_result(None)

    def refuse(self) -> Future[None] | None:
        """Let nobody begin what is rolled back now. Returns what resolves when whoever was at it has left it."""
        asked, self.asked = self.asked, None
        if asked is not None:
            asked.give_back()
        self._is_refused = True
        return self._beginning


def used_at_once() -> SessionMisuse:
    """The error for a session that several use, each of them as if it were its own."""
    return SessionMisuse(
        "one session is used by several tasks, or threads, at once", hint="give each a session of its own"
    )
