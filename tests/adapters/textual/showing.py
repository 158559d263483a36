"""Textual programs in a terminal that is not there, and what they show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget


class Showing(App[None]):
    """A program that shows some widgets, made when it has begun."""

    CSS = "SyncedTextArea { height: 8; } LiveOptionList { height: 7; }"

    def __init__(self, *makers: Callable[[], Widget]) -> None:
        super().__init__()
        self._makers = makers

    def compose(self) -> ComposeResult:
        """Yield them."""
        for make in self._makers:
            yield make()


async def until(pilot: Pilot[None], holds: Callable[[], object]) -> None:
    """Let Textual go on until something holds."""
    async with asyncio.timeout(20):
        while not holds():
            await pilot.pause()
