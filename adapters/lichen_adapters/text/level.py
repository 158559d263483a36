"""One text of a document, on the engine's loop: known as it is at every moment, and written only when no change of
another device can come.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from lichen import Document
from lichen.runtime.document import Applied
from lichen_crdt import Patch

from lichen_adapters.text.delta import Delta, Splice, changed, splices
from lichen_adapters.text.editing import Held
from lichen_adapters.text.place import TextPlace

INSERTED, REMOVED = 2048, 256
"""Characters that are written in a millisecond or two. What is longer is written in parts, and between them the loop is
left to others."""


class LevelText(ABC):
    """The document's end of a text that somebody edits: what they have not seen yet is in `_held`."""

    def __init__(self, note: Document, path: Sequence[str]) -> None:
        self._note = note
        self._place = TextPlace(note, path)
        self._held = Held()
        self._text = ""
        self._heads: tuple[bytes, ...] = ()
        self._writing: Delta | None = None
        """What the transaction that is about to end makes of the text."""

    @property
    def failure(self) -> BaseException | None:
        """Why the document is of no more use; what was written last may be in memory alone."""
        return self._note.failure

    def _read(self) -> None:
        """Know the text as it is. From then on nothing may change it before `_applied` is told."""
        self._text, self._heads = str(self._place.text()), self._note.heads

    def _applied(self, applied: Applied) -> None:
        """The document has changed."""
        if self._note.failure is not None:
            self._failed(self._note.failure)
        elif applied.local or applied.patches:  # else only its place in lists; another thread may be writing now
            before, self._heads = self._heads, self._note.heads
            if applied.local and self._writing is not None:
                self._took(self._writing)
            else:
                self._change(applied.patches if not applied.local else self._note.doc.diff(before, self._heads))

    async def _write(self, message: str, rebase: Callable[[], Delta]) -> None:
        """Make an edit, which `rebase` gives once the document's turn has come, and return when it is on disk.

        Raises what `rebase` and the transaction raise: then nothing is changed.
        """
        try:
            async with self._note.change(message):
                text, delta = self._place.text(), rebase()
                made = splices(delta)
                for splice in made:
                    for part in _parts(splice):
                        text.splice(part.position, part.removed, part.inserted)
                        if part is not splice:
                            await asyncio.sleep(0)
                if made:
                    self._writing = delta
                else:  # nothing was left of it, and no change will be told
                    self._took(delta)
        except Exception:
            self._writing = None
            raise

    def _took(self, delta: Delta) -> None:
        self._writing = None
        self._text = changed(self._text, delta)
        self._taken()

    @abstractmethod
    def _taken(self) -> None:
        """What was written is in the text."""

    @abstractmethod
    def _change(self, patches: Sequence[Patch]) -> None:
        """The document has changed otherwise."""

    @abstractmethod
    def _failed(self, error: BaseException) -> None:
        """The document is of no more use."""


def _parts(splice: Splice) -> Iterator[Splice]:
    """A long splice, cut; a short one as it is."""
    if splice.removed <= REMOVED and len(splice.inserted) <= INSERTED:
        yield splice
        return
    for start in range(0, splice.removed, REMOVED):
        yield Splice(splice.position, min(REMOVED, splice.removed - start), "")
    for start in range(0, len(splice.inserted), INSERTED):
        yield Splice(splice.position + start, 0, splice.inserted[start : start + INSERTED])
