"""From one row to its place in a document."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from lichen_crdt import Document, Map, Record
from sqlalchemy import RowMapping

from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.merging import UNFIT
from lichen_adapters.orm.plan import BEGUN, DELETED, TABLE, SyncedTable
from lichen_adapters.orm.projection import Content, Place, begun, content_of, owner_of
from lichen_adapters.orm.unique_keys import BEGUN as BEGUN_COLUMN

Written = RowMapping | dict[str, Any]
"""A row as it is to be written."""


_NOWHERE = Document()


class RowWriter:
    """Writes the rows that a transaction has touched into one document.

    `settled` names columns, by table, row and name, that are written even where they hold the value already: what was
    in dispute with it is settled by that. `seen` tells of a table which rows are seen as which others.
    """

    def __init__(
        self,
        document: Document,
        settled: Collection[tuple[SyncedTable, uuid.UUID, str]],
        seen: Callable[[SyncedTable], Mapping[uuid.UUID, uuid.UUID]],
    ) -> None:
        self._document = document
        self._before = document.to_py(typed=True) if document.heads else {}
        """What it held before this transaction: each row is written once."""
        self._settled = settled
        self._seen = seen
        self._heads = b"".join(document.heads)
        self.brought_back = False
        """A row is there again that was deleted, or its owner: with it, what others have put into it meanwhile."""

    def write(self, planned: SyncedTable, key: uuid.UUID, row: Written | None) -> None:
        """Make the document hold a row; None for one that was deleted, or has gone elsewhere. Raises `Misfit`."""
        fixed = {TABLE: planned.name} if planned.owner is None else {}
        before = content_of(self._before, planned, key)
        if before is None:
            if row is not None:
                _put(planned, self._document, {planned.place(key): _new(planned, row)})
            return
        content = self._document if planned.owner is None else self._document.map(planned.place(key))
        if row is None:
            if not before.get(DELETED) or (planned, key, DELETED) in self._settled:
                content[DELETED] = self._heads
        elif not before:
            _put(planned, content, fixed | _new(planned, row))
        else:
            self.brought_back |= self._is_deleted(planned, key)
            if before.get(DELETED):
                del content[DELETED]
            new = {name: value for name, value in fixed.items() if before.get(name) != value} | _begun(
                planned, before, row
            )
            for name, column in planned.columns.items():
                if (planned, key, name) in self._settled:
                    new[name] = column.new(row[name])
                elif not self._is_seen(planned, name, before, row[name]):
                    new |= column.write(content, before, row[name])
            if new:
                _put(planned, content, new)

    def _is_deleted(self, planned: SyncedTable, key: uuid.UUID) -> bool:
        """Whether a row, or one that owned it, was deleted."""
        at: Place | None = planned, key
        while at is not None:
            content = content_of(self._before, *at)
            if content is None or content.get(DELETED):
                return True
            at = None if at[0].owner is None else owner_of(at, key, content)
        return False

    def _is_seen(self, planned: SyncedTable, name: str, before: Content, value: Any) -> bool:
        """Whether a column points at a row that is seen as the one at which it is to point."""
        target = planned.references.get(name)
        seen = {} if target is None else self._seen(target)
        if not seen or value is None:
            return False
        with suppress(Misfit):
            return bool(seen.get(planned.columns[name].read(before)) == value)
        return False

    def follow(self, planned: SyncedTable, key: uuid.UUID, row: RowMapping | None) -> None:
        """Keep a row one with the row that it is seen as: it has its key, and goes with it."""
        if self._before.get(DELETED):
            return
        if row is None:
            self._document[DELETED] = self._heads
        else:
            for name in sorted(planned.claiming):
                self._document.update(planned.columns[name].write(self._document, self._before, row[name]))

    def link(self, links: tuple[str, ...], new: Sequence[str]) -> None:
        """Make the document hold a row of an association: any of these keys, or else all the new; or none, without."""
        there = [link for link in links if link in self._before]
        if not new:
            for link in there:
                del self._document[link]
        elif not there:
            self._document.update(dict.fromkeys(new, True))


def _put(planned: SyncedTable, content: Map, new: dict[str, Any]) -> None:
    """Put values at keys of a map. Raises `Misfit`, which names the column."""
    try:
        content.update(new)
    except UNFIT as refused:
        for values in (new, *(value for value in new.values() if isinstance(value, dict))):
            for name in sorted(planned.columns.keys() & values.keys()):
                try:
                    with (alone := Document()).change():
                        alone[name] = values[name]
                except UNFIT as why:
                    raise planned.columns[name].unfit(why) from why
        raise Misfit(f"{planned.name}: {refused}") from refused


def puts(record: Record, planned: SyncedTable, row: RowMapping | None) -> dict[str, Any] | None:
    """What is to be put into a record to make it hold its row, or none; None if that takes more. Raises `Misfit`."""
    before = record.to_py()
    if row is None:
        return {} if before.get(DELETED) else {DELETED: b"".join(record.heads)}
    if before.get(DELETED):
        return None
    if not before:
        return {TABLE: planned.name} | _new(planned, row)
    new = {} if before.get(TABLE) == planned.name else {TABLE: planned.name}
    new |= _begun(planned, before, row)
    for name, column in planned.columns.items():
        new |= column.write(_NOWHERE, before, row[name])  # scalars are not changed in place
    return new


def _scalars(planned: SyncedTable, row: Written) -> dict[str, Any]:
    return {name: column.new(row[name]) for name, column in planned.columns.items()}


def _begun(planned: SyncedTable, before: Content, row: Written) -> dict[str, Any]:
    """When a row was begun, where that is another time: it was deleted, and inserted again under its id."""
    return {BEGUN: row[BEGUN_COLUMN]} if planned.unique and row[BEGUN_COLUMN] != begun(before) else {}


def _new(planned: SyncedTable, row: Written) -> dict[str, Any]:
    """What a map holds that is made for a row."""
    return ({BEGUN: row[BEGUN_COLUMN]} if planned.unique else {}) | _scalars(planned, row)
