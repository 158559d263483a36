"""Rows of catching up: what a peer is sent of a space, and how far its store was read; as `lichen.runtime.rows`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from lichen.config import Limits
from lichen.core import effects as do
from lichen.core import events as happened
from lichen.runtime.rows import ids_of
from lichen.store import change_sets, node


def read_sets(conn: Connection, effect: do.ReadSets, limits: Limits) -> happened.SetsRead:
    """Single sets by id, ancestors first, as many as one batch of a catch-up may hold."""
    found = change_sets.by_ids(conn, effect.ids, limits.catch_up_batch_bytes)
    return happened.SetsRead(effect.link, effect.space, tuple(found))


def read_position(conn: Connection, effect: do.ReadPosition) -> happened.PositionRead:
    """The newest position in a space."""
    return happened.PositionRead(effect.space, change_sets.last_num(conn, effect.space))


def plan_catch_up(conn: Connection, effect: do.ReadCatchUp) -> tuple[list[tuple[int, int]], int]:
    """What to send to a peer: `(position, bytes)` of each set after `since` outside the past of the sample, and the
    newest position.

    Positions are a topological order, so one pass from the newest down finds every ancestor of the sample.
    """
    rows = change_sets.scan(conn, effect.space, effect.since)
    held: set[bytes] = set(effect.sample)
    wanted: list[tuple[int, int]] = []
    for row in reversed(rows):
        num, set_id, deps, size = row
        if set_id in held:
            held.update(ids_of(deps))
        else:
            wanted.append((num, size))
    wanted.reverse()
    return wanted, rows[-1][0] if rows else max(effect.since, change_sets.last_num(conn, effect.space))


def batches(numbers: Sequence[tuple[int, int]], most_bytes: int) -> list[list[int]]:
    """The positions in batches of about this many bytes."""
    found: list[list[int]] = []
    size = most_bytes
    for number, length in numbers:
        if size + length > most_bytes:
            found.append([])
            size = 0
        found[-1].append(number)
        size += length
    return found


def bodies(conn: Connection, numbers: Sequence[int]) -> tuple[bytes, ...]:
    """The sets at these positions, in their order."""
    return tuple(change_sets.bodies(conn, numbers))


def read_cursor(conn: Connection, effect: do.ReadCursor) -> happened.CursorRead:
    """How far a peer's store was read."""
    held = node.cursor(conn, effect.peer, effect.space)
    store, position = held if held is not None else (b"", 0)
    return happened.CursorRead(effect.link, effect.space, store, position)


def store_cursor(conn: Connection, effect: do.StoreCursor) -> happened.CursorStored:
    """Everything of a peer up to a position is here."""
    node.set_cursor(conn, effect.peer, effect.space, effect.store, effect.position)
    return happened.CursorStored(effect.link, effect.space, effect.position)
