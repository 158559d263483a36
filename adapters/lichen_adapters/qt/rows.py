"""The rows of a live query as Qt's models of a list and of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from lichen.blocking import Deliver
from lichen.errors import ConfigError
from PySide6.QtCore import QAbstractListModel, QAbstractTableModel, QObject, Qt
from sqlalchemy.sql.selectable import TypedReturnsRows

from lichen_adapters.orm.live import LiveFactory
from lichen_adapters.qt.following import NOWHERE, Column, Followed, Index, Shown

T = TypeVar("T")


class ListRows(Followed[T], QAbstractListModel):
    """The rows of a live query as a list: for a `QListView` or a `QComboBox`.

    What changes, here or on another device, inserts, moves, changes or removes its rows; all others stay as they are,
    and with them selection and scrolling. It is never reset. Use it on the thread that `deliver` delivers to. It ends
    with its parent, or when nobody holds it.
    """

    def __init__(
        self,
        sessions: LiveFactory,
        statement: TypedReturnsRows[T],
        shown: Callable[[T], Shown],
        deliver: Deliver,
        *,
        edit: Callable[[T, Any], object] | None = None,
        reads: Iterable[Any] = (),
        parent: QObject | None = None,
    ) -> None:
        """`shown` and `edit` are as those of a `Column`. `reads` is as for live queries, whose errors are raised."""
        QAbstractListModel.__init__(self, parent)
        self._follow([Column("", shown, edit)], sessions, statement, reads, deliver)


class TableRows(Followed[T], QAbstractTableModel):
    """The rows of a live query as a table: for a `QTableView` or a `QTreeView`. In all else as `ListRows`."""

    def __init__(
        self,
        sessions: LiveFactory,
        statement: TypedReturnsRows[T],
        columns: Sequence[Column[T]],
        deliver: Deliver,
        *,
        reads: Iterable[Any] = (),
        parent: QObject | None = None,
    ) -> None:
        """Raises `ConfigError` for no columns. `reads` is as for live queries, whose errors are raised."""
        if not columns:
            raise ConfigError("a table has no columns", hint="give at least one Column")
        QAbstractTableModel.__init__(self, parent)
        self._follow(tuple(columns), sessions, statement, reads, deliver)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        """How many columns there are."""
        return 0 if parent.isValid() else len(self._columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The titles of the columns; rows are numbered from 1."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._columns[section].title if 0 <= section < len(self._columns) else None
        return QAbstractTableModel.headerData(self, section, orientation, role)
