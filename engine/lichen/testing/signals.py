"""Signals for tests of direct paths: between processes, one a line."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

_PREFIX = b"signal "


class LineSignals:
    """A `lichen.transport.Signals` over pipes: each signal is a line `signal BASE64`. Other lines are not for it."""

    def __init__(self, lines: asyncio.StreamReader, write: Callable[[bytes], object]) -> None:
        self._lines = lines
        self._write = write

    async def send(self, signal: bytes) -> None:
        """Write one line."""
        self._write(_PREFIX + base64.b64encode(signal) + b"\n")

    async def receive(self) -> bytes:
        """The next signal; waits for ever when the pipe has ended."""
        while line := await self._lines.readline():
            if line.startswith(_PREFIX):
                return base64.b64decode(line.removeprefix(_PREFIX))
        await asyncio.Event().wait()
        raise AssertionError
