"""What the tests of Textual programs share."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lichen import Engine

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine.open(f"sqlite:///{tmp_path}/notes.db") as opened:
        yield opened
