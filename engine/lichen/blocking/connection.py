"""The handle of an address that is dialled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lichen.runtime.connections import Connection as AsyncConnection

if TYPE_CHECKING:
    from lichen.blocking.engine import Engine


class Connection:
    """One address that is dialled again whenever its link ends."""

    def __init__(self, engine: Engine, connection: AsyncConnection) -> None:
        self._engine = engine
        self._connection = connection

    @property
    def url(self) -> str:
        """The address as it was given, with the token that a relay asks for."""
        return self._connection.url

    @property
    def address(self) -> str:
        """The URL without the token: what may be shown."""
        return self._connection.address

    @property
    def state(self) -> str:
        """`connecting`, `connected`, `waiting` (for the next try) or `closed`."""
        return self._connection.state

    @property
    def error(self) -> str:
        """Why it is not connected."""
        return self._connection.error

    def reached(self) -> bool:
        """Whether it came to be connected before it was closed: returns when that is known."""
        return self._engine.run(self._connection.reached)

    def close(self) -> None:
        """Stop dialling, and end the link."""
        self._engine.call(self._connection.close)
