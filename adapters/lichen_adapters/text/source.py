"""The document's end of an edited text, on the engine's loop: level with the document at every moment.

It hears of every change at once, and writes what the widget sent only when it has the document's turn, in which no
change of another device can come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from lichen import Document
from lichen.api.feed import Feed
from lichen_crdt import Document as CrdtDocument
from lichen_crdt import Patch

from lichen_adapters.text.delta import Delta, changed, delta_of
from lichen_adapters.text.editing import Edit
from lichen_adapters.text.level import LevelText
from lichen_adapters.text.typing_undo import TypingUndo

TOGETHER = 32
"""Changes of the text that a widget is told of at once: few enough to be shown in some milliseconds."""


@dataclass(frozen=True, slots=True)
class Began:
    """The text as it is at the beginning."""

    text: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The text has changed, and not by the widget."""

    version: int
    delta: Delta


@dataclass(frozen=True, slots=True)
class Taken:
    """What the widget sent last is in the document."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What the widget sent, the first of it of which this was not said yet, is on disk."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What the widget sent last cannot be in the document, which holds this text."""

    version: int
    text: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class Failed:
    """An undo could not be done, or the document is of no more use."""

    error: BaseException


Message = Began | Changed | Taken | Saved | Refused | Failed


class TextSource(LevelText):
    """One text of a document, for one widget."""

    def __init__(self, note: Document, path: Sequence[str]) -> None:
        super().__init__(note, path)
        self._undo = TypingUndo(note.doc, path)
        self._feed: Feed[Message] = Feed()
        self._requests: asyncio.Queue[Callable[[], Awaitable[object]] | None] = asyncio.Queue()
        self._stop: Callable[[], None] = lambda: None
        self.seen = 0
        """The version that the widget has seen, as far as nothing that it sends was made before it."""

    async def messages(self) -> AsyncGenerator[Message, None]:
        """What the widget is told, the text first. Raises `NotFound` where there is no text."""
        await self._note.look(self._begin)
        async for message in self._feed.items(self._end):
            yield message

    def _begin(self, _doc: CrdtDocument) -> None:
        self._read()
        self._stop = self._note.listen(self._applied)
        self._feed.put(Began(self._text))

    def _end(self) -> None:
        self._stop()

    # From the document

    def _change(self, patches: Sequence[Patch]) -> None:
        parts = self._place.changed(self._text, patches)
        for first in range(0, len(parts), TOGETHER):
            delta = delta_of(parts[first : first + TOGETHER])
            self._text = changed(self._text, delta)
            if delta:
                self._feed.put(Changed(self._held.changed(delta, self.seen), delta))

    def _taken(self) -> None:
        self._feed.put(Taken())

    def _failed(self, error: BaseException) -> None:
        self._feed.put(Failed(error))

    # From the widget

    def ask(self, request: Callable[[], Awaitable[object]] | None) -> None:
        """Have `serve` await this, after what was asked before; None ends it. To be called on the loop."""
        self._requests.put_nowait(request)

    async def serve(self) -> None:
        """Do what is asked for, one after the other, each to the end: on disk."""
        while (request := await self._requests.get()) is not None:
            try:
                await request()
            except Exception as error:
                self._feed.put(Failed(error))

    async def write(self, edit: Edit) -> None:
        """Make an edit in the document; the widget is told what came of it, at last by `Saved` or `Refused`."""
        try:
            await self._write(await self._message(), lambda: self._held.rebased(edit))
        except Exception as error:
            self._feed.put(Refused(self._held.version, self._text, error))
        else:
            self._feed.put(Saved())

    async def _message(self) -> str:
        now_s = asyncio.get_running_loop().time()
        message = self._undo.message(now_s)
        return await self._note.look(lambda _: self._undo.begin(now_s)) if message is None else message

    async def undo(self) -> None:
        """Take back this device's newest step in the document."""
        await self._note.undo(self._undo)

    async def redo(self) -> None:
        """Bring back what was taken back last."""
        await self._note.redo(self._undo)
