"""The rows of a live query in a `ttk.Treeview`."""

from __future__ import annotations

import logging
import tkinter
from collections.abc import Callable, Iterable, Sequence
from tkinter import ttk
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from lichen.blocking import Deliver
from lichen.errors import EngineMisuse
from sqlalchemy.sql.selectable import TypedReturnsRows

from lichen_adapters.orm import Rows
from lichen_adapters.orm.blocking import call_live
from lichen_adapters.orm.live import LiveFactory
from lichen_adapters.tk.threads import refuse_other_threads

log = logging.getLogger("lichen.tk")

T = TypeVar("T")

_following: WeakSet[ttk.Treeview] = WeakSet()


class TreeRows(Generic[T]):
    """Shows the rows of a live query in a tree, and follows them: an item is inserted, moved, changed or deleted for a
    row that is; all others stay as they are, and with them selection, focus and scrolling.

    They come in the place of what the tree shows: its items at the top are those of the rows, and nobody else's. Use it
    on Tk's thread; it ends with the tree.
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

        Of a row for which it raises, or gives what a tree has not, which is logged, an empty item is shown. `reads` is
        as for live queries, whose errors are raised. Raises `EngineMisuse` for a tree that follows rows already, and on
        another thread than Tk's.
        """
        refuse_other_threads(tree, "a tree of rows")
        if tree in _following:
            raise EngineMisuse("this tree follows rows already", hint="close() those first")
        self._tree = tree
        self._item = item
        self._rows: dict[str, T] = {}
        self._open = True
        self._end = call_live(sessions, statement, self._show, reads, deliver=deliver)
        tree.delete(*tree.get_children())
        _following.add(tree)
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
            self._change(item, row)

    def close(self) -> None:
        """Follow the rows no longer, and keep those that are shown; idempotent."""
        if self._open:
            self._open = False
            _following.discard(self._tree)
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
            item = self._insert(position, row)
            items.insert(position, item)
            self._rows[item] = row
        for position, row in difference.changed:
            self._change(items[position], row)

    def _insert(self, position: int, row: T) -> str:
        try:
            return self._tree.insert("", position, **self._item(row))
        except Exception:
            log.exception("a row could not be shown")
            return self._tree.insert("", position)

    def _change(self, item: str, row: T) -> None:
        self._rows[item] = row
        try:
            self._tree.item(item, **self._item(row))
        except Exception:
            log.exception("a row could not be shown")
            self._tree.item(item, text="", values=(), image="", tags=())
