"""Applying changes in steps, so that an event loop never waits for it."""

from __future__ import annotations

from lichen_crdt import _native
from lichen_crdt.patches import Patch, from_native


class Applying:
    """Changes on their way into a document, for programs that show it on an event loop.

    `run()` does the work, on a copy, and may be called on another thread; nobody else waits for it. `finish()`
    puts the outcome in the document's place, which takes microseconds, or applies at once what can be replayed
    quickly, and gives the patches: the document changes at the moment when the program hears of it. None means that
    `run()` is due: at first, where replay could not do, and again whenever the document was written to meanwhile.

        applying = doc.applying(changes)
        while (patches := applying.finish()) is None:
            await asyncio.to_thread(applying.run)

    After an error other than `TransactionError` it has ended, and nothing has changed.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Applying) -> None:
        self._native = native

    def run(self) -> None:
        """Work without holding the document. Raises what `Document.apply_changes` does."""
        self._native.run()

    def finish(self) -> list[Patch] | None:
        """The patches, once; None if `run()` is due. `TransactionOpen` and `DocumentBusy` leave it as it was."""
        patches = self._native.finish()
        return None if patches is None else from_native(patches)
