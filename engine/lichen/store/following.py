"""Who follows documents in the transaction in which they change, such as tables that show them as rows.

A store that has been followed once notes which documents change while nobody follows them: the next to follow has to
go through these alone. It says by its *mark* what it makes of documents; one with another mark goes through all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy import Connection, delete, select, text

from lichen.store.node import get_meta, set_meta
from lichen.store.schema import unfollowed
from lichen.store.statements import Statement

FOLLOWERS = "lichen.followers"
"""Where the writer's connection has them, in `Connection.info`."""
NOTING = "lichen.noting"
"""Whether the writer's connection notes what nobody follows, in `Connection.info`."""
_NOTE_ALL = text("INSERT INTO lichen_unfollowed SELECT doc FROM lichen_documents WHERE true ON CONFLICT DO NOTHING")
_NOTE = Statement("INSERT INTO lichen_unfollowed VALUES (?) ON CONFLICT DO NOTHING")
MARK = "followed"
"""Under which name the mark of the last to follow is kept."""


class Follower(Protocol):
    """Called on the writer thread. What it writes with `conn` is kept, or not, together with the changes."""

    def changed(self, conn: Connection, changes: Mapping[bytes, Sequence[bytes]]) -> None:
        """These changes were added to the tails of documents. What this raises fails the job."""

    def gone(self, conn: Connection, docs: Sequence[bytes]) -> None:
        """These documents leave the device in this transaction. What this raises fails the job."""

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


def tell_gone(conn: Connection, docs: Sequence[bytes]) -> None:
    """As `tell`, of documents that leave the device."""
    followers: Sequence[Follower] = conn.info.get(FOLLOWERS, ())
    for follower in followers:
        follower.gone(conn, docs)
    if docs and not followers and conn.info.get(NOTING):
        _NOTE.many(conn, [(doc,) for doc in docs])


def begin(conn: Connection, followers: Sequence[Follower]) -> None:
    """Let the writer's connection, a new one, tell these, or note what nobody follows."""
    conn.info[FOLLOWERS] = followers
    conn.info[NOTING] = get_meta(conn, MARK) is not None


def set_out(conn: Connection, mark: bytes) -> None:
    """One with this mark follows now, on the writer's connection: where another did, it is behind in all documents."""
    if get_meta(conn, MARK) != mark:
        conn.execute(_NOTE_ALL)
        set_meta(conn, MARK, mark)
    conn.info[NOTING] = True


def behind(conn: Connection, most: int) -> list[bytes]:
    """So many of the documents in which whoever follows is behind: they changed, or left, while nobody followed."""
    return list(conn.scalars(select(unfollowed.c.doc).limit(most)))


def caught_up(conn: Connection, docs: Sequence[bytes]) -> None:
    """Whoever follows has gone through these, in this transaction."""
    conn.execute(delete(unfollowed).where(unfollowed.c.doc.in_(docs)))


def forget(conn: Connection) -> None:
    """Whoever follows next, on any connection, is to go through all documents."""
    set_meta(conn, MARK, b"")
