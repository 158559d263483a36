"""What differs between the databases that a store may lie in."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from sqlalchemy import Connection
from sqlalchemy.engine import Engine

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
        """An engine for sessions of the application, whose connections are as those of `driver_connection`."""

    def driver_connection(self) -> Any:  # Any: the drivers have no types in common
        """A connection of the driver, on which transactions are begun and ended in SQL."""

    def failure(self, error: BaseException) -> Failure:
        """What an exception in a job means."""

    def size_bytes(self) -> int:
        """Bytes on the disk."""

    def close(self) -> None:
        """End what `connect` needs; called once, when no such connection is open any more."""
