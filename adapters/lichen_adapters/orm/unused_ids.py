"""The ids of rows that were rolled back: an object keeps its id then, and may be added again."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from lichen_adapters.orm.capture import Begun

MOST = 100_000
"""Ids that are kept, of 300 bytes each."""


class UnusedIds:
    """They are used by whoever holds the right to write."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._begun: OrderedDict[uuid.UUID, Begun] = OrderedDict()

    def keep(self, begun: Mapping[uuid.UUID, Begun]) -> None:
        """These rows were not committed. Of too many the oldest are forgotten."""
        self._begun.update(begun)
        while len(self._begun) > self._most:
            self._begun.popitem(last=False)

    def of(self, row: uuid.UUID) -> Begun | None:
        """How the document of a row was to begin that was not committed, if it is one."""
        return self._begun.get(row)

    def forget(self, rows: Iterable[uuid.UUID]) -> None:
        """These were committed."""
        if self._begun:
            for row in rows:
                self._begun.pop(row, None)
