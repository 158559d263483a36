"""What differs between the databases that a store may lie in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from sqlalchemy import Connection
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from lichen.store.failure import Failure

Durability = Literal["process", "power"]
"""What an acknowledged write survives: the death of this process (kill -9), or also that of the machine."""


class Backend(Protocol):
    """A database that is open for one store."""

    @property
    def name(self) -> str:
        """As errors name it; no secret is in it."""

    @property
    def begin_read(self) -> str:
        """Begins a transaction that sees one state; for `execute` of a connection of the driver."""

    @property
    def begin_write(self) -> str:
        """Begins a transaction on the newest state, in which no other process of this store can write."""

    def connect(self) -> Connection:
        """A connection of the store's own, on which transactions are begun and ended in SQL."""

    def session_engine(self) -> Engine:
        """An engine for sessions of the application, on whose connections transactions are begun and ended in SQL."""

    def for_event_loop(self) -> AsyncEngine | Callable[[], Any]:  # Any: the drivers have no types in common
        """As `session_engine`, for sessions on an event loop; where the driver knows no loops, what makes connections
        of it, on any thread."""

    def failure(self, error: BaseException) -> Failure:
        """What an exception in a job means."""

    def size_bytes(self) -> int:
        """Bytes on the disk."""

    def close(self) -> None:
        """End what `connect` needs; called once, when no such connection is open any more."""
