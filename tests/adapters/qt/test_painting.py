"""A view that is painted at once looks the same, and asks for its cells while it has the interpreter's lock."""

from __future__ import annotations

import sys

from lichen_adapters.qt import paint_at_once
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import QTableView, QWidget
from turns import go_on

NOWHERE = QModelIndex()


class Cells(QAbstractTableModel):
    """Its cells note which Python function was running when they were asked for."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.asked_in: list[str] = []

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        return 30

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        return 3

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> str | None:
        caller = sys._getframe(1)
        self.asked_in.append(caller.f_code.co_name)
        return f"{index.row()}, {index.column()}" if role == Qt.ItemDataRole.DisplayRole else None


def test_a_view_that_is_painted_at_once_looks_the_same(window: QWidget) -> None:
    pictures, asked_in = [], []
    for at_once in (False, True):
        view = QTableView()
        model = Cells(view)
        view.setModel(model)
        view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        view.resize(400, 300)
        view.show()
        if at_once:
            paint_at_once(view)
        go_on(0.02)
        model.asked_in.clear()
        view.viewport().update()
        go_on(0.02)
        asked_in.append({*model.asked_in})
        pictures.append(view.grab().toImage())
        view.deleteLater()
    assert pictures[0] == pictures[1]
    assert asked_in == [{"go_on"}, {"eventFilter"}]
