"""The addresses that are dialled again after a restart."""

from __future__ import annotations

import asyncio
import contextlib

from lichen.errors import ConfigError
from lichen.runtime import rows
from lichen.runtime.connections import Connection, Connections
from lichen.runtime.driver import Driver
from lichen.runtime.transports import split_token


class Remembered:
    """Those of one node, in its store."""

    def __init__(self, driver: Driver, connections: Connections) -> None:
        self._driver = driver
        self._connections = connections

    def add(self, connection: Connection) -> None:
        """Remember the address of a connection, once it has been reached."""
        self._driver.spawn(self._add(connection), f"remember {connection.address}")

    async def _add(self, connection: Connection) -> None:
        if await connection.reached():
            await asyncio.wrap_future(
                self._driver.store.write(lambda conn: rows.remember_address(conn, connection.url))
            )

    async def addresses(self) -> list[str]:
        """All, with their tokens."""
        return await asyncio.wrap_future(self._driver.store.write(rows.remembered_addresses))

    async def connect(self) -> list[Connection]:
        """Dial all that are not dialled already, and of a kind that this device knows."""
        dialled = {connection.address for connection in self._connections.dialled.values()}
        found = []
        for url in await self.addresses():
            with contextlib.suppress(ConfigError):
                if split_token(url)[0] not in dialled:
                    found.append(self._connections.connect(url))
        return found
