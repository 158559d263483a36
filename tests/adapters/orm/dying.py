"""A device that is killed just before the n-th statement of its sessions. Started by tests beside this.

Usage: dying.py URL N, or PATH N for SQLite, where statements of triggers and of the driver count too. It says
`committed` after each transaction that was acknowledged.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lichen.ids import DeviceKey, Session
from lichen.runtime.rows import WrittenDocument
from lichen.runtime.unsealed_rows import UnsealedDocument
from lichen.store import Store
from lichen.store.membership import add_space
from lichen.store.postgres import PostgresDatabase
from lichen_adapters.orm import Sessions
from orm_devices import KEY, SPACE
from orm_models import Address, Base, Tag, User
from sqlalchemy import event, make_url, select, update


class Host:
    """What sessions need of an engine."""

    device = DeviceKey(hashlib.sha256(b"dying").digest())

    def __init__(self, where: str) -> None:
        if "://" in where:
            self.store = Store(PostgresDatabase(make_url(where), lambda wrapped: (KEY, wrapped or b"wrapped")))
        else:
            self.store = Store.open(Path(where), KEY)

    def expect_writer(self, session: Session) -> None:
        """Nothing is sealed here."""

    def written_elsewhere(self, written: Sequence[WrittenDocument], unsealed: Sequence[UnsealedDocument]) -> None:
        """Nothing is sealed here."""


def main() -> None:
    """Write, until the statement at which it ends."""
    host = Host(sys.argv[1])
    host.store.write(lambda conn: add_space(conn, SPACE, 0, None)).result(9)
    sessions = Sessions(host, Base)  # type: ignore[arg-type]  # documents are not asked for
    sessions.prepare()
    left = int(sys.argv[2])

    def count(*_: Any) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    if sessions.database.dialect.name == "sqlite":
        sessions.database.dispose()
        event.listen(sessions.database, "connect", lambda dbapi, _: dbapi.set_trace_callback(count))
    else:
        event.listen(sessions.database, "before_cursor_execute", count)
        event.listen(sessions.database, "commit", count, insert=True)
    while True:
        with sessions.begin(SPACE) as session:
            session.add(User(name="ann", addresses=[Address(email="a@b")], marks=[Tag(name=f"tag {left}")]))
        os.write(1, b"committed\n")
        with sessions.begin(SPACE) as session:
            user = session.scalars(select(User).limit(1)).one()
            user.stars += 1
            user.bio = f"{user.bio or ''}!"
            session.flush()
            session.execute(update(Address).values(uses=Address.uses + 1))
        os.write(1, b"committed\n")


main()
