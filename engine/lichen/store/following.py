"""Who follows documents in the transaction in which they change, such as tables that show them as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy import Connection

FOLLOWERS = "lichen.followers"
"""Where the writer's connection has them, in `Connection.info`."""


class Follower(Protocol):
    """Called on the writer thread. What it writes with `conn` is kept, or not, together with the changes."""

    def changed(self, conn: Connection, changes: Mapping[bytes, Sequence[bytes]]) -> None:
        """These changes were added to the tails of documents. What this raises fails the job."""

    def before_commit(self, conn: Connection) -> None:
        """The transaction is about to be committed: the last moment to write. What this raises fails it."""

    def ended(self, *, committed: bool) -> None:
        """The transaction in which `changed` was called is over."""


def tell(conn: Connection, changes: Mapping[bytes, Sequence[bytes]]) -> None:
    """Tell all that follow on this connection."""
    followers: Sequence[Follower] = conn.info.get(FOLLOWERS, ())
    for follower in followers:
        follower.changed(conn, changes)
