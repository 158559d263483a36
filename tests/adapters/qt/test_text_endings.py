"""A synced text in Qt's editors that ends, or is refused: nothing that counts is lost, and what does not is told."""

from __future__ import annotations

import gc
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
import shiboken6
from lichen.blocking import Document
from lichen.errors import AccessDenied, EngineMisuse, NotFound
from lichen_adapters.qt import Queued, SyncedText
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget
from qt_pad import KINDS, Pad, write
from turns import go_on, until


def test_a_text_ends_with_its_editor_however_it_goes(
    window: QWidget, note: Document, caplog: pytest.LogCaptureFixture
) -> None:
    def make(kind: type[QPlainTextEdit] | type[QTextEdit], parent: QWidget | None = None) -> Pad:
        return Pad(window, note, kind(parent))

    pads = [make(kind) for kind in KINDS] + [make(kind, window) for kind in KINDS] + [make(QPlainTextEdit)]
    for number, pad in enumerate(pads):
        pad.at(0)
        pad.press("PQRST"[number])
    shiboken6.delete(pads[0].editor)
    pads[1].editor = pads[0].editor
    pads[1].synced = pads[0].synced
    gc.collect()
    pads[2].synced.close()
    pads[2].synced.close()
    pads[2].press("more")
    assert "more" in pads[2].text
    pads[4].editor.setDocument(QPlainTextEdit(window).document())
    shiboken6.delete(window.findChild(QTextEdit))
    write(note, lambda body: body.append("!"))
    go_on()
    assert set("PQRS") < set(str(note.doc["body"]))
    assert "more" not in str(note.doc["body"])
    for pad in pads[4:]:
        pad.synced.close()
    lasting, editor = QTextDocument(), QTextEdit()
    editor.setDocument(lasting)
    Pad(window, note, editor)
    shiboken6.delete(editor)
    until(lambda: note.asynchronous._opened.listeners == [])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert ["was given another QTextDocument" in str(error) for pad in pads for error in pad.refused] == [True]


def test_what_a_reader_types_gives_way_and_is_told(window: QWidget, readers_note: Document) -> None:
    pad = Pad(window, readers_note)
    pad.press("oat ")
    until(lambda: pad.refused)
    assert isinstance(pad.refused[0], AccessDenied)
    until(lambda: pad.text == "milk")
    pad.synced.close()


def test_what_is_typed_after_the_engine_was_closed_is_taken_back_and_told(pad: Pad) -> None:
    pad.note.engine.close()
    pad.press("x")
    assert pad.text == "oat 😀 milk\nbread"
    until(lambda: pad.refused)
    pad.press("undo")
    until(lambda: len(pad.refused) == 2)
    assert {type(error) for error in pad.refused} == {EngineMisuse}
    pad.synced.close()
    pad.press("x")
    assert pad.text.startswith("x")


def test_bad_use_is_refused_and_changes_nothing(window: QWidget, note: Document) -> None:
    editor, deliver = QPlainTextEdit("before", window), Queued(window)
    with ThreadPoolExecutor(1) as pool, pytest.raises(EngineMisuse, match="another thread"):
        pool.submit(SyncedText, editor, note, ("body",), deliver).result()
    with pytest.raises(NotFound):
        SyncedText(editor, note, ("nothing",), deliver)
    assert editor.toPlainText() == "before"
    assert editor.document().isUndoRedoEnabled()
    pad = Pad(window, note, editor)
    with ThreadPoolExecutor(1) as pool, pytest.raises(EngineMisuse, match="another thread"):
        pool.submit(pad.synced.close).result()
