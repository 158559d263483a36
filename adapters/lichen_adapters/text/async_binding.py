"""A synced text and a widget that lives on the engine's own event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Self

from lichen import Document

from lichen_adapters.text.bound import (
    SAVE_S,
    BoundText,
    Request,
    TextWidget,
    Unit,
    checked_note,
    checked_path,
    log_refused,
)
from lichen_adapters.text.source import Message, TextSource

SLICE_S = 0.004
"""So long a widget is told of one change after the other, before the loop is left to others."""


class AsyncTextBinding(BoundText):
    """As `TextBinding`, for a toolkit that runs on asyncio, in one loop with the engine. Make it with `open`.

    It closes at the latest when the engine is closed: what was typed is on disk then.
    """

    _reading: asyncio.Task[None]
    _serving: asyncio.Task[None]
    _closing: asyncio.Task[None] | None = None

    def __init__(
        self,
        note: Document,
        path: Sequence[str],
        widget: TextWidget,
        unit: Unit,
        refused: Callable[[BaseException], object],
    ) -> None:
        super().__init__(TextSource(note, checked_path(path)), widget, unit, refused)
        self._note = note
        self._level = asyncio.Event()
        self._forget: Callable[[], object] = lambda: None

    @classmethod
    async def open(
        cls,
        note: Document,
        path: Sequence[str],
        widget: TextWidget,
        *,
        unit: Unit = "code points",
        refused: Callable[[BaseException], object] = log_refused,
    ) -> Self:
        """As `TextBinding` begins. Raises `EngineMisuse` on another loop than the engine's too."""
        checked_note(note, Document, "for an engine of `lichen.blocking` it is `TextBinding`")
        note.refuse_other_loop()
        binding = cls(note, path, widget, unit, refused)
        messages = binding._source.messages()
        binding._told(await anext(messages))
        binding._reading = asyncio.create_task(binding._read(messages))
        binding._serving = asyncio.create_task(binding._source.serve())
        binding._forget = note.before_close(binding.close)
        return binding

    async def close(self) -> None:
        """Return when what was typed is on disk, and the widget and the text are let go; idempotent.

        Raises `TimeoutError` when that takes more than ten seconds; and `EngineMisuse` in a transaction of this task,
        for whose end what was typed waits: then nothing is let go. Whoever is cancelled here ends the waiting alone.
        """
        if self._closing is None:
            if self._unsaved:
                self._note.refuse_holder(asyncio.current_task())
            self._open = False
            self._closing = asyncio.create_task(self._finish())
        await asyncio.shield(self._closing)

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(SAVE_S):
                while self._unsaved:
                    self._level.clear()
                    await self._level.wait()
                self._ask(None)
                await self._serving
        finally:
            for task in (self._serving, self._reading):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self._forget()

    async def _read(self, messages: AsyncGenerator[Message, None]) -> None:
        async with aclosing(messages):
            ends = time.monotonic() + SLICE_S
            async for message in messages:
                self._hear(message)
                self._level.set()
                if time.monotonic() > ends:
                    await asyncio.sleep(0)
                    ends = time.monotonic() + SLICE_S

    def _refuse_misuse(self) -> None:
        super()._refuse_misuse()
        self._note.refuse_other_loop()

    def _ask(self, request: Request | None) -> None:
        self._source.ask(request)
