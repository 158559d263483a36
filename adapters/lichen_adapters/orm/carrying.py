"""What rows that move to another document point at there: what they point at in the one where they were.

Where that is seen as another row, their table has only this one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import RowMapping

from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.projection import Content, Place, content_of

Seen = Callable[[SyncedTable], Mapping[uuid.UUID, uuid.UUID]]
"""Tells of a table which rows are seen as which others."""


class Carried:
    """What is carried over in one transaction. Tell it of what leaves a document before any is written."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._values: dict[Place, dict[str, Any]] = {}
        self._links: dict[tuple[str, ...], list[str]] = {}

    def leave(self, content: Content, place: Place, row: RowMapping) -> None:
        """A row goes from the document with this content to another, and is this in its table."""
        planned, key = place
        was = content_of(content, planned, key)
        for name, target in planned.references.items() if was is not None else ():
            with suppress(Misfit):
                pointed = planned.columns[name].read(was or {})
                if pointed is not None and self._seen(target).get(pointed) == row[name]:
                    self._values.setdefault(place, {})[name] = pointed

    def unlink(self, content: Content, links: tuple[str, ...]) -> None:
        """A row of an association, for which any of these keys stand, is to be in this document no more."""
        self._links.setdefault(links, []).extend(link for link in links if link in content)

    def row(self, place: Place, row: RowMapping) -> RowMapping | dict[str, Any]:
        """A row as it is written into its document."""
        values = self._values.get(place)
        return {**row, **values} if values else row

    def links(self, links: tuple[str, ...]) -> Sequence[str]:
        """The keys that are to stand for a row of an association in a document that has none of these."""
        return self._links.get(links) or links[:1]
