"""From documents to rows: what each row is, and which of them a change makes stale; pure."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lichen_crdt import Document, Map, Patch

from lichen_adapters.orm.plan import BEGUN, DELETED, TABLE, Plan, SyncedTable

log = logging.getLogger("lichen.orm")

LATEST = 1 << 53
"""No time is later, in ms."""

Row = dict[str, Any]
Place = tuple[SyncedTable, uuid.UUID]
"""One row: its table and its id."""


@dataclass(slots=True)
class Stale:
    """Which rows of a document may be out of date: for each the columns, None for the whole row."""

    rows: dict[Place, set[str] | None] = field(default_factory=dict)
    everything: bool = False

    def add(self, planned: SyncedTable, row: uuid.UUID, column: str | None) -> None:
        """This column, or all of a row."""
        known = self.rows.setdefault((planned, row), set())
        if column is None or column in (DELETED, BEGUN):
            self.rows[planned, row] = None
        elif known is not None:
            known.add(column)


def root_of(plan: Plan, document: Document) -> SyncedTable | None:
    """Whose rows are documents such as this one; None when it is none of the plan's."""
    root = plan.tables.get(str(document.get(TABLE)))
    return None if root is None or root.owner is not None else root


def sources(root: SyncedTable, doc: uuid.UUID, document: Document) -> dict[Place, Map]:
    """Where every row that a document stands for lies in it, owners first."""
    if document.get(DELETED):
        return {}
    found: dict[Place, Map] = {(root, doc): document}
    for part in root.parts:
        found.update(((part, key), content) for key, content in _parts(document, part))
    return found


def fixed(planned: SyncedTable, doc: uuid.UUID, key: uuid.UUID) -> Row:
    """What a row has that is no column of a document."""
    return {"id": key} if planned.owner is None else {"id": key, planned.owner.name: doc}


def _parts(document: Document, part: SyncedTable) -> Iterable[tuple[uuid.UUID, Map]]:
    rows = document.get(part.place)
    if not isinstance(rows, Map):
        return
    for name in rows:
        content = rows[name]
        if isinstance(content, Map) and not content.get(DELETED):
            try:
                yield uuid.UUID(name), content
            except ValueError:
                log.warning("%r is no id of a row of %s", name, part.name)


def read_row(planned: SyncedTable, source: Map, fixed: Row) -> Row:
    """The columns of a row that a map holds, beside `fixed`. Raises `Misfit`."""
    row = dict(fixed)
    for name, column in planned.columns.items():
        value = column.read(source)
        if value is not None or name in source:
            row[name] = value
    return row


def begun(source: Map) -> int:
    """When a row was begun, in ms since 1970; 0 where that is not said."""
    there = source.get(BEGUN)
    return there if type(there) is int and 0 <= there < LATEST else 0


def stale(root: SyncedTable, doc: uuid.UUID, patches: Iterable[Patch]) -> Stale:
    """What patches of a document make stale."""
    found = Stale()
    parts = {part.place: part for part in root.parts}
    for patch in patches:
        place = [*patch.path, *([patch.key] if hasattr(patch, "key") else ())]
        first = str(place[0])
        if first in (TABLE, DELETED) or (first in parts and len(place) == 1):
            found.everything = True
        elif first in parts:
            try:
                row = uuid.UUID(str(place[1]))
            except ValueError:
                continue
            found.add(parts[first], row, str(place[2]) if len(place) > 2 else None)
        elif first in root.columns or first == BEGUN:
            found.add(root, doc, first)
    return found
