from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
from lichen import Engine, Relay


class Devices(Protocol):
    async def __call__(self, *names: str) -> list[Engine]: ...


@pytest.fixture
async def devices(tmp_path: Path) -> AsyncIterator[Devices]:
    """Opens engines, each with a store of its own."""
    async with AsyncExitStack() as stack:

        async def open_them(*names: str) -> list[Engine]:
            return [await stack.enter_async_context(Engine.open(f"sqlite:///{tmp_path}/{name}.db")) for name in names]

        yield open_them


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    async with Relay.open(f"sqlite:///{tmp_path}/relay.db") as opened:
        yield opened
