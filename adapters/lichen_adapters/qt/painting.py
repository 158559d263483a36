"""Painting of views whose model is written in Python."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QAbstractItemView

from lichen_adapters.qt.threads import refuse_other_threads


class _AtOnce(QObject):
    def __init__(self, view: QAbstractItemView) -> None:
        super().__init__(view)
        view.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Called with the interpreter's lock, which is kept while the view paints."""
        view = self.parent()
        return event.type() == QEvent.Type.Paint and isinstance(view, QAbstractItemView) and view.viewportEvent(event)


def paint_at_once(view: QAbstractItemView) -> None:
    """Have a view painted without a pause for other threads, as long as it lives.

    It asks its model for each cell; else it would wait each time until a thread that computes, as an engine's does
    while much comes in, makes room. On the view's thread.
    """
    refuse_other_threads(view, "a view")
    _AtOnce(view)
