"""The folder of these tests is on the path, for the module that they share."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lichen.testing.browser import browser as browser

sys.path.insert(0, str(Path(__file__).parent))

from asgi_server import Program, running


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    """A program that is served."""
    async with running(Program(tmp_path)) as found:
        yield found
