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
from lichen.runtime.document import Applied
from lichen_crdt import Document as CrdtDocument
from lichen_crdt import Patch

from lichen_adapters.text.delta import Delta, changed, delta_of, splices
from lichen_adapters.text.editing import Edit, Held
from lichen_adapters.text.place import TextPlace
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
class Refused:
    """What the widget sent last cannot be in the document, which holds this text."""

    version: int
    text: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class Failed:
    """An undo could not be done, or the document is of no more use."""

    error: BaseException


Message = Began | Changed | Taken | Refused | Failed


class TextSource:
    """One text of a document, for one widget."""

    def __init__(self, note: Document, path: Sequence[str]) -> None:
        self._note = note
        self._place = TextPlace(note, path)
        self._held = Held()
        self._undo = TypingUndo(note.doc, path)
        self._feed: Feed[Message] = Feed()
        self._requests: asyncio.Queue[Callable[[], Awaitable[object]] | None] = asyncio.Queue()
        self._text = ""
        self._heads: tuple[bytes, ...] = ()
        self._writing: Delta | None = None
        """What the transaction that is about to end makes of the text."""
        self._stop: Callable[[], None] = lambda: None
        self.seen = 0
        """The version that the widget has seen, as far as nothing that it sends was made before it."""

    async def messages(self) -> AsyncGenerator[Message, None]:
        """What the widget is told, the text first. Raises `NotFound` where there is no text."""
        await self._note.look(self._begin)
        async for message in self._feed.items(self._end):
            yield message

    def _begin(self, _doc: CrdtDocument) -> None:
        self._text, self._heads = str(self._place.text()), self._note.heads
        self._stop = self._note.listen(self._applied)
        self._feed.put(Began(self._text))

    def _end(self) -> None:
        self._stop()

    # From the document

    def _applied(self, applied: Applied) -> None:
        if self._note.failure is not None:
            self._feed.put(Failed(self._note.failure))
            return
        if not applied.local and not applied.patches:  # only its place in lists; another thread may be writing now
            return
        before, self._heads = self._heads, self._note.heads
        if applied.local and self._writing is not None:
            self._took(self._writing)
        else:
            self._change(applied.patches if not applied.local else self._note.doc.diff(before, self._heads))

    def _change(self, patches: Sequence[Patch]) -> None:
        parts = self._place.changed(self._text, patches)
        for first in range(0, len(parts), TOGETHER):
            delta = delta_of(parts[first : first + TOGETHER])
            self._text = changed(self._text, delta)
            if delta:
                self._feed.put(Changed(self._held.changed(delta, self.seen), delta))

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
        """Make an edit in the document; the widget is told what came of it."""
        try:
            async with self._note.change(await self._message()):
                text, delta = self._place.text(), self._held.rebased(edit)
                for part in splices(delta):
                    text.splice(part.position, part.removed, part.inserted)
                self._writing = delta
            if self._writing is not None:  # nothing was left of it
                self._took(self._writing)
        except Exception as error:
            self._writing = None
            self._feed.put(Refused(self._held.version, self._text, error))

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

    def _took(self, delta: Delta) -> None:
        self._writing = None
        self._text = changed(self._text, delta)
        self._feed.put(Taken())
