"""What rows claim by their unique keys, and how that is written down for rows that are not in their table."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
from sqlalchemy import RowMapping

from lichen_adapters.orm.plan import SyncedTable

Key = tuple[tuple[str, ...], tuple[Any, ...]]
"""A unique key: its columns, and their values."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one live row claims."""

    space: bytes
    begun: int
    """When the row was begun, in ms since 1970."""
    keys: frozenset[Key]
    """Without those in which something is null: they claim nothing, as in SQL."""


def keys_of(planned: SyncedTable, row: RowMapping | Mapping[str, Any]) -> frozenset[Key]:
    """The unique keys of a row, of which at least the columns with keys are given."""
    values = ((names, tuple(row.get(name) for name in names)) for names in planned.unique)
    return frozenset((names, key) for names, key in values if None not in key)


def dumps(planned: SyncedTable, claim: Claim) -> bytes:
    """A claim as CBOR, its values as documents have them."""
    columns = planned.columns
    keys = [
        [names, [columns[n].new(v) if n in columns else v.bytes for n, v in zip(names, values, strict=True)]]
        for names, values in claim.keys
    ]
    return cbor2.dumps([claim.space, claim.begun, keys])


def loads(planned: SyncedTable, data: bytes) -> Claim:
    """What `dumps` wrote."""
    columns = planned.columns
    space, begun, keys = cbor2.loads(data)
    found = (
        (
            tuple(names),
            tuple(
                columns[n].merging.read(v) if n in columns else uuid.UUID(bytes=v)
                for n, v in zip(names, values, strict=True)
            ),
        )
        for names, values in keys
    )
    return Claim(space, begun, frozenset(found))
