"""The rows of a live query in a `ttk.Treeview`."""

from __future__ import annotations

import logging
import tkinter
from collections.abc import Callable, Iterable, Sequence
from tkinter import ttk
from typing import Any, Generic, TypeVar

from lichen.blocking import Deliver
from sqlalchemy.sql.selectable import TypedReturnsRows

from lichen_adapters.orm import Rows
from lichen_adapters.orm.blocking import call_live
from lichen_adapters.orm.live import LiveFactory

log = logging.getLogger("lichen.tk")

T = TypeVar("T")


class TreeRows(Generic[T]):
    """Shows the rows of a live query in a tree, and follows them: an item is inserted, moved, changed or deleted for a
    row that is; all others stay as they are, and with them selection, focus and scrolling.

    The tree's items at the top are those of the rows, and nobody else's. Use it on Tk's thread; it ends with the tree.
    """

    def __init__(
        self,
        tree: ttk.Treeview,
        sessions: LiveFactory,
        statement: TypedReturnsRows[T],
        item: Callable[[T], dict[str, Any]],
        deliver: Deliver,
        *,
        reads: Iterable[Any] = (),
    ) -> None:
        """`item` gives the options of a row's item, as for `tree.insert`: `text`, `values`, `tags`, `image`.

        Of a row for which it raises, which is logged, an empty item is shown. `reads` is as for live queries, whose
        errors are raised.
        """
        self._tree = tree
        self._item = item
        self._rows: dict[str, T] = {}
        self._end = call_live(sessions, statement, self._show, reads, deliver=deliver)
        tree.bind("<Destroy>", self._destroyed, add=True)

    def row(self, item: str) -> T:
        """The row of an item. Raises `KeyError` for an item that is not there any more."""
        return self._rows[item]

    @property
    def selected(self) -> list[T]:
        """The rows that are selected, from the top."""
        return [self._rows[item] for item in self._tree.selection()]

    @property
    def rows(self) -> list[T]:
        """All rows that are shown, from the top."""
        return [self._rows[item] for item in self._items]

    def refresh(self) -> None:
        """Ask anew how each row is to be shown, as where there is more room now."""
        for item, row in self._rows.items():
            self._tree.item(item, **self._options(row))

    def close(self) -> None:
        """Follow the rows no longer; idempotent."""
        self._end()

    def _destroyed(self, event: tkinter.Event[tkinter.Misc]) -> None:
        if event.widget is self._tree:
            self.close()

    @property
    def _items(self) -> Sequence[str]:
        return self._tree.get_children()

    def _show(self, rows: Rows[T]) -> None:
        difference, items = rows.difference, list(self._items)
        for position in difference.removed:
            item = items.pop(position)
            self._tree.delete(item)
            del self._rows[item]
        for start, end in difference.moved:
            items.insert(end, items.pop(start))
            self._tree.move(items[end], "", end)
        for position, row in difference.added:
            item = self._tree.insert("", position, **self._options(row))
            items.insert(position, item)
            self._rows[item] = row
        for position, row in difference.changed:
            self._tree.item(items[position], **self._options(row))
            self._rows[items[position]] = row

    def _options(self, row: T) -> dict[str, Any]:
        try:
            return self._item(row)
        except Exception:
            log.exception("a row could not be shown")
            return {}
