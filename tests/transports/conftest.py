from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from lichen.transport import Listener


@pytest.fixture
async def listeners() -> AsyncIterator[list[Listener]]:
    """Those that a test opens: closed at its end."""
    opened: list[Listener] = []
    yield opened
    for listener in opened:
        await listener.close()
