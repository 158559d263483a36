"""A synced text and a widget: edits go from each to the other, on the widget's thread nothing waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial

from lichen.blocking import Deliver, Document, timeout
from lichen.errors import EngineMisuse

from lichen_adapters.text.bound import (
    SAVE_S,
    BoundText,
    Request,
    TextWidget,
    Unit,
    checked_note,
    checked_path,
    log,
    log_refused,
)
from lichen_adapters.text.source import TextSource


class TextBinding(BoundText):
    """Keeps a text of a document and a widget the same, for as long as it is open.

    The layer of a toolkit calls `edited` after each edit of its user; the binding calls the widget for what changes
    otherwise: by other devices, by this program, by `undo`. All of it is on the thread that `deliver` delivers to.
    What is typed is shown at once, and in the document soon. Cursor and selection stay at their characters. It closes
    at the latest when the engine is closed: what was typed is on disk then. On another thread that leaves the widget
    as it is.
    """

    def __init__(
        self,
        note: Document,
        path: Sequence[str],
        widget: TextWidget,
        deliver: Deliver,
        *,
        unit: Unit = "code points",
        refused: Callable[[BaseException], object] = log_refused,
    ) -> None:
        """Fill the widget, which is empty, with the text at `path`, the keys of maps in the document.

        `refused` is called when what was typed cannot be in the document, as after a loss of rights: the widget then
        shows the document's text again. Raises `NotFound` when there is no text at `path`, `ConfigError`, and
        `EngineMisuse` in a transaction of this thread.
        """
        checked_note(note, Document, "on the engine's own loop it is `AsyncTextBinding`")
        note.asynchronous.refuse_holder(threading.current_thread())
        super().__init__(TextSource(note.asynchronous, checked_path(path)), widget, unit, refused)
        self._note, self._engine = note, note.engine
        self._messages = self._engine.events_of(self._source.messages)
        self._told(next(self._messages))
        self._serving = self._engine.submit(self._source.serve)
        self._stop = self._messages.call(self._told, deliver)
        self._thread = threading.get_ident()
        self._ended = False
        self._forget = self._engine.before_close(self._engine_closes)

    def edited(self, position: int, removed: int, inserted: str) -> None:
        """As `BoundText.edited`."""
        with self._messages.held():
            super().edited(position, removed, inserted)

    def close(self) -> None:
        """Wait until what was typed is on disk, and let the widget and the text go; idempotent.

        Raises `TimeoutError` when that takes more than ten seconds; and `EngineMisuse` in a transaction of this thread,
        for whose end what was typed waits: then nothing is let go. Whoever closes it or its engine meanwhile waits too.
        """
        self.refuse_holder()
        with timeout(SAVE_S), self._messages.held():
            self._open = False
            if not self._ended:
                self._finish()

    def refuse_holder(self) -> None:
        """Raises `EngineMisuse` in a transaction of this thread, if something that was typed waits for its end."""
        if self._unsaved:
            self._note.asynchronous.refuse_holder(threading.current_thread())

    def _finish(self) -> None:
        """Where this thread is interrupted nothing has ended: whoever closes it or its engine next goes on."""
        try:
            with suppress(EngineMisuse, StopIteration, CancelledError):  # the engine was closed first
                while self._unsaved:
                    self._hear(next(self._messages))
                self._ask(None)
                self._serving.result(SAVE_S)
        except Exception:
            self._end()
            raise
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._serving.cancel()
        self._stop()
        self._forget()

    def _engine_closes(self) -> None:
        self._forget = self._engine.before_close(self._engine_closes)  # for a handler of a signal that closes it now
        try:
            with timeout(SAVE_S), self._messages.held():
                if threading.get_ident() != self._thread:  # where the widget must not be touched
                    self._widget, self._refused = _Nowhere(), log_refused
                self.close()
        except TimeoutError:
            log.error("what was typed last could not be written to disk in time")
        finally:
            self._forget()

    def _refuse_misuse(self) -> None:
        super()._refuse_misuse()
        if self._messages.ended:
            raise EngineMisuse("the engine of this text is closed")

    def _ask(self, request: Request | None) -> None:
        self._engine.call_soon(partial(self._source.ask, request))


class _Nowhere:
    """In the place of a widget that is to be left alone."""

    def splice(self, position: int, removed: int, inserted: str) -> None:
        """Change nothing."""

    def selection(self) -> tuple[int, int]:
        """The cursor, at the beginning."""
        return (0, 0)

    def select(self, anchor: int, head: int) -> None:
        """Set nothing."""
