"""What rows claim by their unique keys, and how that is written down for rows that are not in their table."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
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
    return cbor2.dumps([claim.space, claim.begun, [_plain(planned, key) for key in claim.keys]])


def dumps_key(planned: SyncedTable, key: Key) -> bytes:
    """A unique key as CBOR: equal keys are equal bytes."""
    return cbor2.dumps(_plain(planned, key), canonical=True)


def loads_key(planned: SyncedTable, data: bytes) -> Key:
    """What `dumps_key` wrote."""
    return _key(planned, *cbor2.loads(data))


def loads(planned: SyncedTable, data: bytes) -> Claim:
    """What `dumps` wrote."""
    space, begun, keys = cbor2.loads(data)
    return Claim(space, begun, frozenset(_key(planned, names, values) for names, values in keys))


def _plain(planned: SyncedTable, key: Key) -> list[Any]:
    columns, (names, values) = planned.columns, key
    return [names, [columns[n].new(v) if n in columns else v.bytes for n, v in zip(names, values, strict=True)]]


def _key(planned: SyncedTable, names: Sequence[str], values: Sequence[Any]) -> Key:
    columns = planned.columns
    found = (
        columns[n].merging.read(v) if n in columns else uuid.UUID(bytes=v) for n, v in zip(names, values, strict=True)
    )
    return tuple(names), tuple(found)
