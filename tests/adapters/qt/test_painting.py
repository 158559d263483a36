"""A view that is painted at once looks the same, and waits for no other thread between its cells."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest
from lichen_adapters.qt import paint_at_once
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import QTableView, QWidget

from .conftest import go_on as settle
from .conftest import until

NOWHERE = QModelIndex()


class Cells(QAbstractTableModel):
    """Its cells note how far another thread had come when they were asked for."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.counted = [0]
        self.seen: set[int] = set()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        return 30

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        return 3

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> str | None:
        self.seen.add(self.counted[0])
        return f"{index.row()}, {index.column()}" if role == Qt.ItemDataRole.DisplayRole else None


@pytest.fixture
def patient() -> Iterator[None]:
    """Threads give way to each other only when they wait."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)
    yield
    sys.setswitchinterval(before)


def test_a_view_that_is_painted_at_once_looks_the_same(window: QWidget, patient: None) -> None:
    views = [QTableView(window) for _ in range(2)]
    for view in views:
        view.setModel(Cells(view))
        view.resize(400, 300)
        view.show()
    window.show()
    paint_at_once(views[1])
    assert views[0].grab().toImage() == views[1].grab().toImage()
    model = views[1].model()
    assert isinstance(model, Cells)
    go_on = threading.Event()

    def count() -> None:
        while not go_on.wait(1e-6):
            model.counted[0] += 1

    counting = threading.Thread(target=count)
    counting.start()
    settle(0.05)
    model.seen.clear()
    views[1].viewport().update()
    until(lambda: model.seen)
    go_on.set()
    counting.join()
    assert len(model.seen) == 1
