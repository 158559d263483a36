"""The folder of these tests is on the path, for the module that they share."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

sys.path.insert(0, str(Path(__file__).parent))

from asgi_server import Program, running

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    """A program that is served."""
    async with running(Program(tmp_path)) as found:
        yield found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "Chromium is needed: make setup installs it where apt is"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        await started.close()
