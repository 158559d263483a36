"""Who follows documents in the transaction in which they change, such as tables that show them as rows.

A store that has been followed once notes which documents change while nobody follows them: the next to follow has to
go through these alone. It says by its *mark* what it makes of documents; one with another mark goes through all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy import Connection, delete, select

from lichen.store.node import get_meta, set_meta
from lichen.store.schema import documents, unfollowed
from lichen.store.statements import Statement

FOLLOWERS = "lichen.followers"
"""Where the writer's connection has them, in `Connection.info`."""
NOTING = "lichen.noting"
"""Whether the writer's connection notes what nobody follows, in `Connection.info`."""
_NOTE = Statement("INSERT INTO lichen_unfollowed VALUES (?) ON CONFLICT DO NOTHING")
MARK = "followed"
"""Under which name the mark of the last to follow is kept."""


class Follower(Protocol):
    """Called on the writer thread. What it writes with `conn` is kept, or not, together with the changes."""

    def changed(self, conn: Connection, changes: Mapping[bytes, Sequence[bytes]]) -> None:
        """These changes were added to the tails of documents. What this raises fails the job."""

    def before_commit(self, conn: Connection) -> None:
        """The transaction is about to be committed: the last moment to write. What this raises fails it."""

    def ended(self, *, committed: bool) -> None:
        """The transaction in which `changed` was called is over."""


def tell(conn: Connection, changes: Mapping[bytes, Sequence[bytes]]) -> None:
    """Tell all that follow on this connection, or note that nobody did."""
    followers: Sequence[Follower] = conn.info.get(FOLLOWERS, ())
    for follower in followers:
        follower.changed(conn, changes)
    if not followers and conn.info.get(NOTING):
        _NOTE.many(conn, [(doc,) for doc in changes])


def begin(conn: Connection, followers: Sequence[Follower]) -> None:
    """Let the writer's connection, a new one, tell these, or note what nobody follows."""
    conn.info[FOLLOWERS] = followers
    conn.info[NOTING] = get_meta(conn, MARK) is not None


def behind(conn: Connection, mark: bytes) -> list[bytes]:
    """The documents that have changed since one with this mark followed them; all, when it was another mark."""
    known = get_meta(conn, MARK) == mark
    return list(conn.scalars(select(unfollowed.c.doc if known else documents.c.doc)))


def caught_up(conn: Connection, mark: bytes) -> None:
    """One with this mark follows now, on the writer's connection, and has gone through all that it was behind in."""
    set_meta(conn, MARK, mark)
    conn.execute(delete(unfollowed))
    conn.info[NOTING] = True


def forget(conn: Connection) -> None:
    """Whoever follows next, on any connection, is to go through all documents."""
    set_meta(conn, MARK, b"")
