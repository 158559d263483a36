"""What a widget and a synced text have of each other, on whatever thread or loop the widget lives."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from lichen.errors import ConfigError, EngineMisuse
from lichen_crdt import from_utf16, to_utf16

from lichen_adapters.text.delta import Splice, changed, moved_selection
from lichen_adapters.text.editing import Edit, Shown
from lichen_adapters.text.source import Began, Changed, Failed, Message, Refused, Saved, Taken, TextSource

log = logging.getLogger("lichen.text")

Unit = Literal["code points", "utf16"]
"""In what a toolkit counts: Python and Tcl 9 in code points, Qt and Tcl 8 in UTF-16 units."""

Request = Callable[[], Awaitable[object]]

_HALF = re.compile("[\ud800-\udfff]")
"""A half of a pair, which is no character."""

SAVE_S = 10.0
"""How long closing waits for what was typed last."""


def log_refused(error: BaseException) -> None:
    """What is done about an edit that was refused, where nothing else is."""
    log.error("an edit was refused: %s", error)


def checked_path(path: Sequence[str]) -> Sequence[str]:
    """The keys that lead to a text. Raises `ConfigError` for what cannot be."""
    if isinstance(path, str) or not path:
        raise ConfigError("the path of a text is the keys that lead to it", hint='such as ("body",)')
    return path


def checked_note(note: object, kind: type[object], hint: str) -> None:
    """Raises `ConfigError` for a document of the other kind of engine, or what is none."""
    if not isinstance(note, kind):
        given = f"{type(note).__module__}.{type(note).__qualname__}"
        wanted = "lichen.blocking.Document" if "blocking" in kind.__module__ else "lichen.Document"
        raise ConfigError(f"a {wanted} is wanted here, and this is a {given}", hint=hint)


class TextWidget(Protocol):
    """What a binding needs of a widget, on the widget's own thread. Positions are in the widget's unit."""

    def splice(self, position: int, removed: int, inserted: str) -> None:
        """Put `inserted` in the place of `removed` units at `position`: not an edit of the user's, and not to be
        reported as one, or to be taken back by an undo of the toolkit's.
        """

    def selection(self) -> tuple[int, int]:
        """Anchor and head of the selection; both the cursor, where nothing is selected."""

    def select(self, anchor: int, head: int) -> None:
        """Set them."""


class BoundText(ABC):
    """A text of a document in a widget: everything but how the two ends reach each other."""

    def __init__(
        self, source: TextSource, widget: TextWidget, unit: Unit, refused: Callable[[BaseException], object]
    ) -> None:
        self._source = source
        self._widget = widget
        self._unit = unit
        self._refused = refused
        self._shown = Shown("")
        self._unsaved = 0
        """Edits that were sent, and are not known to be on disk or refused."""
        self._open = True

    @property
    def text(self) -> str:
        """What the widget shows."""
        return self._shown.text

    @property
    def saved(self) -> bool:
        """Everything that was typed is in the document, and on disk; not after a failure, as of a full disk."""
        return not self._unsaved and self._source.failure is None

    @property
    def closed(self) -> bool:
        """Widget and text were let go."""
        return not self._open

    def edited(self, position: int, removed: int, inserted: str) -> None:
        """The widget's user has put `inserted` in the place of `removed` units at `position`.

        Raises `ConfigError` for what cannot have happened to the text that was shown: then widget and binding have
        parted, and nothing is changed. Raises `EngineMisuse` when this is closed.
        """
        self._refuse_misuse()
        start, end = self._points(position), self._points(position + removed)
        if start is None or end is None or removed < 0 or _HALF.search(inserted):
            raise ConfigError(f"an edit of {removed} characters at {position} does not fit the text that is shown")
        if end > start or inserted:
            self._send(self._shown.edited(Splice(start, end - start, inserted)))

    def undo(self) -> None:
        """Take back what was typed last, since the program began; what others wrote stays.

        Edits that follow each other within two seconds are one step. Nothing happens when the newest that this program
        wrote into the document was not typed into this text. Raises `EngineMisuse` when this is closed.
        """
        self._refuse_misuse()
        self._ask(self._source.undo)

    def redo(self) -> None:
        """Bring back what was taken back last. Raises `EngineMisuse` when this is closed."""
        self._refuse_misuse()
        self._ask(self._source.redo)

    # To the document

    def _refuse_misuse(self) -> None:
        if not self._open:
            raise EngineMisuse("this text is bound to its widget no longer")

    @abstractmethod
    def _ask(self, request: Request | None) -> None:
        """Have the document's end do this, after what it was asked before; None ends it."""

    def _send(self, edit: Edit | None) -> None:
        if edit is not None:
            self._unsaved += 1
            self._ask(lambda: self._source.write(edit))

    # From the document

    def _hear(self, message: Message) -> None:
        """As `_told`; what the widget or `refused` raises is logged, and nothing that was typed is lost by it."""
        try:
            self._told(message)
        except Exception:
            log.exception("a callback failed")

    def _told(self, message: Message) -> None:
        shown = self._shown
        before = shown.text
        match message:
            case Began(text):
                self._show(before, shown.replaced(0, text))
            case Changed(version, delta):
                self._show(before, shown.changed(version, delta))
            case Taken():
                self._send(shown.taken())
            case Saved():
                self._unsaved -= 1
            case Refused(version, text, error):
                self._unsaved -= 1
                self._show(before, shown.replaced(version, text))
                self._refused(error)
            case Failed(error):
                self._refused(error)
        if shown.idle:
            self._source.seen = shown.seen

    def _show(self, text: str, splices: Sequence[Splice]) -> None:
        """Let the widget follow, from the text that it shows."""
        if not splices:
            return
        anchor, head = (self._nearest(text, place) for place in self._widget.selection())
        for splice in splices:
            start, end = self._units(text, splice.position), self._units(text, splice.position + splice.removed)
            self._widget.splice(start, end - start, splice.inserted)
            text = changed(text, splice.delta)
        anchor, head = moved_selection((anchor, head), splices)
        self._widget.select(self._units(text, anchor), self._units(text, head))

    # Units

    def _units(self, text: str, index: int) -> int:
        return index if self._unit == "code points" else to_utf16(text, index)

    def _nearest(self, text: str, place: int) -> int:
        index = place if self._unit == "code points" else from_utf16(text, place)
        return max(0, min(index, len(text)))

    def _points(self, place: int) -> int | None:
        """The index of a place in the text that is shown; None where there is none."""
        index = self._nearest(self._shown.text, place)
        return index if self._units(self._shown.text, index) == place else None
