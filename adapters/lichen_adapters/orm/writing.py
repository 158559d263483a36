"""What one connection of a session does now."""

from __future__ import annotations

from collections.abc import Iterator
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
    space: SpaceId | None = None
    told: Told = field(default_factory=Told)
    info: dict[Any, Any] = field(default_factory=dict)
    """What the session knows that writes, as in `Session.info`."""
    _beginning: bool = False

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """A transaction is begun in this block. Raises `SessionMisuse` for who comes while another is at it."""
        if self._beginning:
            raise SessionMisuse(
                "one session is used by several tasks, or threads, at once", hint="give each a session of its own"
            )
        self._beginning = True
        try:
            yield
        finally:
            self._beginning = False
