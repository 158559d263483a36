"""A synced text in a `QPlainTextEdit` or a `QTextEdit`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

from lichen.blocking import Deliver, Document
from lichen.errors import ConfigError, EngineMisuse
from lichen_crdt import from_utf16, utf16_length
from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QAction, QContextMenuEvent, QKeyEvent, QKeySequence, QTextBlock, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit

from lichen_adapters.qt.scrolling import still
from lichen_adapters.qt.threads import refuse_other_threads
from lichen_adapters.text import TextBinding
from lichen_adapters.text.bound import log_refused
from lichen_adapters.text.delta import Splice
from lichen_adapters.text.editing import difference

log = logging.getLogger("lichen.qt")

BOUND = "lichen_bound"
"""The property of a `QTextDocument` that is bound."""

_ORDERS = {"\ufeff": "\u2060", "\ufffe": "\ufffd"}
"""With one of these before it, a text would be less or another in Qt: it is taken for the order of the bytes."""
_AS_SHOWN = {"\r": "␍", "\u2029": "\n", "\ufdd0": "\n", "\ufdd1": "\n", **_ORDERS}
"""What Qt would not keep as it is: it would make a new line of the others, and one of two at `\\r\\n`."""
_AS_READ = {"\u2029": "\n", "\ufdd0": "\n", "\ufdd1": "\n", **_ORDERS}
"""U+FDD0 and U+FDD1 are the edges of cells and frames."""


class SyncedText(QObject):
    """Keeps a text editor and a text of a document the same, while the user types and others do.

    Qt's own undo is switched off: its keys and menu take back what was typed here, and nothing else. Cursor, selection
    and scrolling stay at their characters. While an input method composes, what others write waits. The editor may be
    read-only, and several editors may show its `QTextDocument`. Use it on the editor's thread; it ends with the editor.
    """

    def __init__(
        self,
        editor: QPlainTextEdit | QTextEdit,
        note: Document,
        path: Sequence[str],
        deliver: Deliver,
        *,
        refused: Callable[[BaseException], object] = log_refused,
    ) -> None:
        """Put the text at `path` in the place of what the editor shows. The rest is as for `TextBinding`.

        Raises `EngineMisuse` on another thread, and for a document that is bound already.
        """
        refuse_other_threads(editor, "a text editor")
        self._document = editor.document()
        if self._document.property(BOUND):
            raise EngineMisuse("what this editor shows is bound to a text already", hint="close that one first")
        super().__init__(editor)
        self._deliver = deliver
        self._refused = refused
        self._held: Callable[[], None] | None = None
        """What waits until an input method has composed."""
        self._previewed = QTextBlock()
        """Where something was last composed."""
        self._changing = False
        """The document changes, and not by its user."""
        self._wanted: tuple[int, int] | None = None
        """The selection that is to be set when what changes together has changed."""
        self._gone = False
        self._undoing = self._document.isUndoRedoEnabled()
        self._document.setUndoRedoEnabled(False)
        if isinstance(editor, QTextEdit):
            editor.setAcceptRichText(False)
        before = self._read(0, self._length)
        self._put(0, self._length, "")
        try:
            self.binding = TextBinding(note, path, self, self._when_composed, unit="utf16", refused=self._tell)
            """What it stands on: `undo`, `redo`, and whether all is `saved`."""
        except BaseException:
            self._put(0, 0, before)
            self._document.setUndoRedoEnabled(self._undoing)
            raise
        self._document.setProperty(BOUND, True)
        self._document.contentsChange.connect(self._contents_changed)
        self._document.destroyed.connect(self._document_gone)
        editor.destroyed.connect(self._editor_gone)
        editor.installEventFilter(self)

    @property
    def _editor(self) -> QPlainTextEdit | QTextEdit:
        """Not held: the engine holds this, and nobody would let the editor go."""
        return cast("QPlainTextEdit | QTextEdit", self.parent())

    def close(self) -> None:
        """Wait until what was typed is on disk, and leave the editor as it is; idempotent.

        Raises `EngineMisuse` on another thread; the rest as `TextBinding.close`.
        """
        refuse_other_threads(self, "a text editor")
        self.binding.refuse_holder()
        if not self._gone and self._document.property(BOUND):
            self._document.contentsChange.disconnect(self._contents_changed)
            self._document.setProperty(BOUND, None)
            self._document.setUndoRedoEnabled(self._undoing)
            self._editor.removeEventFilter(self)
        self._gone = True
        self.binding.close()

    def _editor_gone(self) -> None:
        if not self._gone:
            self._gone = True
            self.binding.close()

    def _document_gone(self) -> None:
        if not self._gone:
            self._editor_gone()
            what = "a text editor was given another QTextDocument: what is typed there is not shared"
            self._tell(EngineMisuse(what, hint="bind it again, or close() before setDocument()"))

    # From the user

    def _contents_changed(self, position: int, removed: int, added: int) -> None:
        """What Qt says may reach further than what is other now, also over the end, which is no character."""
        if self._changing:
            self._changing = False  # that was it: what slots of the program do next is a change of theirs
            return
        if self._gone:
            return
        text, length = self.binding.text, self._length
        before = utf16_length(text)
        removed, added = min(removed, before - position), min(added, length - position)
        start, end = _index(text, position), _index(text, position + removed)
        if start is None or end is None or before - removed != length - added:
            position, added, start, end = 0, length, 0, len(text)
        was, now = _replaced(text[start:end], _AS_SHOWN), self._read(position, added)
        if utf16_length(now) != added:  # a half of a pair, which no text has, was not read
            self._put(position, added, now)
        splice = difference(was, now)
        if splice.removed or splice.inserted:
            self._edited(was, position, splice)
        else:  # its looks, or a preview of what is composed
            self._previewed = self._document.findBlock(position)
        if self._held is not None:
            self._deliver(self._go_on)
        if self._document.rootFrame().childFrames():
            self._deliver(self._flatten)  # not now: the program gets the table that it inserts, and may fill it

    def _edited(self, was: str, position: int, splice: Splice) -> None:
        place = position + utf16_length(was[: splice.position])
        gone = utf16_length(was[splice.position : splice.position + splice.removed])
        try:
            self.binding.edited(place, gone, splice.inserted)
        except (ConfigError, EngineMisuse) as error:
            self._put(place, utf16_length(splice.inserted), was[splice.position : splice.position + splice.removed])
            self._tell(error)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The editor's keys and menu of undo."""
        if self._gone:
            return False
        match event.type():
            case QEvent.Type.ShortcutOverride if isinstance(event, QKeyEvent) and self._undo_of(event):
                event.accept()
                return True
            case QEvent.Type.KeyPress if isinstance(event, QKeyEvent) and (undo := self._undo_of(event)):
                self._step(undo)
                return True
            case QEvent.Type.ContextMenu if isinstance(event, QContextMenuEvent) and not self._editor.isReadOnly():
                self._show_menu(event)
                return True
        return False

    def _undo_of(self, event: QKeyEvent) -> Callable[[], None] | None:
        if self._editor.isReadOnly():
            return None
        if event.matches(QKeySequence.StandardKey.Undo):
            return self.binding.undo
        return self.binding.redo if event.matches(QKeySequence.StandardKey.Redo) else None

    def _step(self, undo: Callable[[], None], *_: object) -> None:
        try:
            undo()
        except EngineMisuse as error:  # the engine was closed
            self._tell(error)

    def _show_menu(self, event: QContextMenuEvent) -> None:
        menu = self._editor.createStandardContextMenu()
        for name, call in {"edit-undo": self.binding.undo, "edit-redo": self.binding.redo}.items():
            if (action := menu.findChild(QAction, name)) is not None:
                action.triggered.disconnect()
                action.triggered.connect(partial(self._step, call))
                action.setEnabled(True)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(event.globalPos())

    # What the binding asks the editor to do (`lichen_adapters.text.TextWidget`)

    def splice(self, position: int, removed: int, inserted: str) -> None:
        """As `TextWidget.splice`."""
        if not self._gone:
            self._put(position, removed, _replaced(inserted, _AS_SHOWN))

    def selection(self) -> tuple[int, int]:
        """As `TextWidget.selection`."""
        if self._gone:
            return 0, 0
        cursor = self._editor.textCursor()
        return self._wanted or (cursor.anchor(), cursor.position())

    def select(self, anchor: int, head: int) -> None:
        """As `TextWidget.select`."""
        self._wanted = anchor, head
        if not self._changing:
            self._select(self._take_wanted())

    @contextmanager
    def _together(self) -> Iterator[None]:
        """What is done within is one change, laid out once."""
        cursor = QTextCursor(self._document)
        with still(self._editor):
            self._changing = True
            cursor.beginEditBlock()
            try:
                self._unframe()
                yield
            finally:
                wanted = self._take_wanted()  # it follows what slots of the program do at the end
                cursor.endEditBlock()
                self._changing = False
            self._select(wanted)

    def _take_wanted(self) -> QTextCursor | None:
        wanted, self._wanted = self._wanted, None
        if wanted is None or self._gone:
            return None
        cursor = QTextCursor(self._document)
        cursor.setPosition(wanted[0])
        cursor.setPosition(wanted[1], QTextCursor.MoveMode.KeepAnchor)
        return cursor

    def _select(self, wanted: QTextCursor | None) -> None:
        if wanted is not None and not self._gone and (wanted.anchor(), wanted.position()) != self.selection():
            self._editor.setTextCursor(wanted)

    def _flatten(self) -> None:
        if not self._gone and not self._composes:  # what is composed is a change when it ends
            with self._together():
                pass

    def _unframe(self) -> None:
        """Make lines of tables and frames: who deletes across an edge of one takes less than a text would lose."""
        if self._document.rootFrame().childFrames():
            self._wanted = self.selection()
            self._put(0, self._length, self._read(0, self._length))
            what = "a synced text holds no tables and frames: their cells are lines of it now"
            self._tell(EngineMisuse(what, hint="insert plain text"))

    def _tell(self, error: BaseException) -> None:
        def tell() -> None:
            self._refused(error)

        self._deliver(tell)  # by itself, since it may show a dialog

    # Input methods: what they compose stands in the layout of a line, and goes astray when that changes

    def _when_composed(self, call: Callable[[], None]) -> None:
        self._deliver(partial(self._call_when_composed, call))

    def _call_when_composed(self, call: Callable[[], None]) -> None:
        if not self._gone and self._composes:
            self._held = call  # the only one: the next is delivered after it
        elif self._gone:
            call()
        else:
            with self._together():
                call()

    def _go_on(self) -> None:
        call, self._held = self._held, None
        if call is not None:
            self._call_when_composed(call)

    @property
    def _composes(self) -> bool:
        """Here, or in another editor of the same document."""
        blocks = (self._editor.textCursor().block(), self._previewed)
        return any(block.isValid() and block.layout().preeditAreaText() for block in blocks)

    # The document

    @property
    def _length(self) -> int:
        return self._document.characterCount() - 1

    def _read(self, position: int, length: int) -> str:
        cursor = QTextCursor(self._document)
        cursor.setPosition(position)
        cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)
        return _replaced(cursor.selectedText(), _AS_READ)

    def _put(self, position: int, removed: int, inserted: str) -> None:
        cursor = QTextCursor(self._document)
        cursor.setPosition(position)
        cursor.setPosition(position + removed, QTextCursor.MoveMode.KeepAnchor)
        before, self._changing = self._changing, True
        try:
            cursor.insertText(inserted)
        finally:
            self._changing = before


def _index(text: str, place: int) -> int | None:
    """The code point at a UTF-16 offset; None where there is none."""
    index = from_utf16(text, place) if place >= 0 else -1
    return index if 0 <= index <= len(text) and utf16_length(text[:index]) == place else None


def _replaced(text: str, others: Mapping[str, str]) -> str:
    """The text with others in the place of some characters: a hundred times as fast as `str.translate`."""
    for one, other in others.items():
        text = text.replace(one, other)
    return text
