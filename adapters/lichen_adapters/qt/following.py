"""What models of a live query have in common, whatever their shape."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lichen.blocking import Deliver
from PySide6.QtCore import (
    QAbstractItemModel,
    QModelIndex,
    QModelRoleData,
    QModelRoleDataSpan,
    QPersistentModelIndex,
    Qt,
)
from sqlalchemy.sql.selectable import TypedReturnsRows

from lichen_adapters.orm import Rows
from lichen_adapters.orm.blocking import call_live
from lichen_adapters.orm.live import LiveFactory
from lichen_adapters.qt.threads import refuse_other_threads

log = logging.getLogger("lichen.qt")

T = TypeVar("T")
Index = QModelIndex | QPersistentModelIndex
Shown = str | Mapping[int, Any]
"""What a cell shows: a text, or values by role, as `Qt.ItemDataRole.DisplayRole`, `FontRole` or `CheckStateRole`."""

ROW = int(Qt.ItemDataRole.UserRole) + 0x6C63
"""The role of the row itself: `index.data(ROW)`, also of an index of a proxy model."""

NOWHERE = QModelIndex()
MOST_AT_ONCE = 500
"""Rows that are inserted in one step, after which the window gets to other things."""

_PLAIN = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren
_DISPLAY, _EDIT = int(Qt.ItemDataRole.DisplayRole), int(Qt.ItemDataRole.EditRole)
_CHECK, _UNCHECKED = int(Qt.ItemDataRole.CheckStateRole), Qt.CheckState.Unchecked


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column of rows."""

    title: str
    """Above it."""
    shown: Callable[[T], Shown]
    """What its cell shows of a row. When it raises, which is logged, that is nothing."""
    edit: Callable[[T, Any], object] | None = None  # Any: what an editor gives
    """Writes what the user has put into a cell: called with the row and the text, or whether the box is checked.

    The cell shows it once the row has changed. When it raises, which is logged, the cell is as it was.
    """


class _Line(Generic[T]):
    """A row, and what is shown of it, as far as that was asked for since it changed."""

    __slots__ = ("cells", "row")

    def __init__(self, row: T) -> None:
        self.row = row
        self.cells: dict[int, Mapping[int, Any]] = {}


if TYPE_CHECKING:
    _Model = QAbstractItemModel
else:

    class _Model:
        """Nothing: Qt's class comes from the class that uses this one."""


class Followed(_Model, Generic[T]):
    """Follows a live query step by step, as a part of one of Qt's models.

    Between the steps, each of which the views are told of, the thread gets to other things.
    """

    _columns: Sequence[Column[T]]
    _lines: list[_Line[T]]

    def _follow(
        self,
        columns: Sequence[Column[T]],
        sessions: LiveFactory,
        statement: TypedReturnsRows[T],
        reads: Iterable[Any],
        deliver: Deliver,
    ) -> None:
        self._columns, self._lines = columns, []
        held = weakref.WeakMethod(self._steps)

        def show(rows: Rows[T]) -> Iterator[None] | None:
            steps = held()
            return None if steps is None else steps(rows)

        self._end = call_live(sessions, statement, show, reads, deliver=deliver)
        self.destroyed.connect(partial(self._end))

    @property
    def rows(self) -> list[T]:
        """All rows, from the top."""
        return [line.row for line in self._lines]

    def row(self, index: Index | int) -> T:
        """The row at an index, or at a position. Raises `IndexError` where none is."""
        position = index if isinstance(index, int) else index.row()
        if position < 0:
            raise IndexError(f"there is no row at {position}")
        return self._lines[position].row

    def close(self) -> None:
        """Follow the rows no longer, and keep those that are shown; idempotent."""
        refuse_other_threads(self, "a model of rows")
        self._end()

    # Steps

    def _steps(self, rows: Rows[T]) -> Iterator[None]:
        refuse_other_threads(self, "a model of rows")
        difference, lines = rows.difference, self._lines
        for first, last in reversed(_runs(reversed(difference.removed))):
            self.beginRemoveRows(NOWHERE, first, last)
            del lines[first : last + 1]
            self.endRemoveRows()
            yield
        for start, end in difference.moved:
            if self.beginMoveRows(NOWHERE, start, start, NOWHERE, end + (end > start)):
                lines.insert(end, lines.pop(start))
                self.endMoveRows()
                yield
        added = dict(difference.added)
        for first, last in _runs(added):
            self.beginInsertRows(NOWHERE, first, last)
            lines[first:first] = [_Line(added[position]) for position in range(first, last + 1)]
            self.endInsertRows()
            yield
        changed = dict(difference.changed)
        for first, last in _runs(sorted(changed)):
            for position in range(first, last + 1):
                lines[position] = _Line(changed[position])
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(self._columns) - 1))
            yield

    # QAbstractItemModel

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """How many rows there are."""
        return 0 if parent.isValid() else len(self._lines)

    def data(self, index: Index, role: int = _DISPLAY) -> Any:
        """What a cell shows, by role; for `ROW` the row itself."""
        if not self._is_here(index):
            return None
        if role == ROW:
            return self._lines[index.row()].row
        cell = self._cell(index)
        return cell.get(_DISPLAY) if role == _EDIT and _EDIT not in cell else cell.get(role)

    def multiData(self, index: Index, roleDataSpan: QModelRoleDataSpan | QModelRoleData) -> None:
        """All that a view asks of a cell, in one call and short: meanwhile other threads want to compute."""
        span = QModelRoleDataSpan(roleDataSpan) if isinstance(roleDataSpan, QModelRoleData) else roleDataSpan
        here = self._is_here(index)
        cell: Mapping[int, Any] = self._cell(index) if here else {}
        for at in range(span.size()):
            wanted: QModelRoleData = span[at]  # type: ignore[index]  # it has items, of which its stub says nothing
            role = wanted.role()
            value = cell.get(role)
            if value is None and here and role in (_EDIT, ROW):
                value = self.data(index, role)
            if value is None:
                wanted.clearData()
            else:
                wanted.setData(value)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """A cell can be edited, or its box checked, where its column has an `edit`."""
        if not self._is_here(index):
            return Qt.ItemFlag.NoItemFlags
        if self._columns[index.column()].edit is None:
            return _PLAIN
        cell = self._cell(index)
        checked = Qt.ItemFlag.ItemIsUserCheckable if _CHECK in cell else Qt.ItemFlag.NoItemFlags
        return _PLAIN | checked | (Qt.ItemFlag.ItemIsEditable if _DISPLAY in cell else Qt.ItemFlag.NoItemFlags)

    def setData(self, index: Index, value: Any, role: int = _EDIT) -> bool:
        """Have the column's `edit` write it. False where nothing was written."""
        refuse_other_threads(self, "a model of rows")
        if not self._is_here(index):
            return False
        edit = self._columns[index.column()].edit
        if edit is None or role not in (_EDIT, _CHECK):
            return False
        try:
            edit(self._lines[index.row()].row, value if role == _EDIT else Qt.CheckState(value) != _UNCHECKED)
        except Exception:
            log.exception("what was put into a cell could not be written")
            return False
        return True

    def _is_here(self, index: Index) -> bool:
        return index.isValid() and index.row() < len(self._lines) and index.column() < len(self._columns)

    def _cell(self, index: Index) -> Mapping[int, Any]:
        line, column = self._lines[index.row()], index.column()
        found = line.cells.get(column)
        if found is None:
            found = line.cells[column] = _shown(self._columns[column], line.row)
        return found


def _shown(column: Column[T], row: T) -> Mapping[int, Any]:
    try:
        shown = column.shown(row)
    except Exception:
        log.exception("a row could not be shown")
        return {}
    return {_DISPLAY: shown} if isinstance(shown, str) else shown


def _runs(positions: Iterable[int]) -> list[tuple[int, int]]:
    """The first and the last of each stretch of ascending positions that follow each other."""
    runs: list[tuple[int, int]] = []
    for position in positions:
        if runs and position == runs[-1][1] + 1 and position - runs[-1][0] < MOST_AT_ONCE:
            runs[-1] = (runs[-1][0], position)
        else:
            runs.append((position, position))
    return runs
