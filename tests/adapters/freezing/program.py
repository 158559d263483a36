"""A program with the engine inside, to be frozen: opens a store, writes down what it is told, and says what is there.

Usage: program STORE ADDRESS. A line on stdin is appended to the text of the note; `until WORD` waits until others have
written that word, `migrate` tells what the store's migrations make. It ends with stdin.
"""

from __future__ import annotations

import sys

from lichen.blocking import Engine
from lichen.store.migrate import upgrade
from lichen_adapters.orm import Synced
from lichen_adapters.orm.blocking import Sessions
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.orm import DeclarativeBase, Mapped


class Base(DeclarativeBase):
    pass


class Line(Synced, Base):
    __tablename__ = "line"
    text: Mapped[str]


def main() -> None:
    """Open, follow, write, stop."""
    store, address = sys.argv[1:]
    with Engine.open(store, create=False) as engine, Sessions(engine, Base) as sessions:
        sessions.prepare()
        space = engine.spaces[0]
        (info,) = (info for info in space.documents() if info.title == "Notes")
        note = engine.document(info.id)
        engine.connect(address)
        print("opened", note.doc["body"], flush=True)
        for line in map(str.strip, sys.stdin):
            match line.split():
                case ["migrate"]:
                    print(migrated(), flush=True)
                case ["until", word]:
                    with note.events() as events:
                        while word not in str(note.doc["body"]):
                            next(events)
                    print(line, flush=True)
                case _:
                    with note.change() as doc:
                        doc["body"].append(line)
                    with sessions.begin(space) as session:
                        session.add(Line(text=line))
                    print("saved", line, flush=True)
        with sessions() as session:
            print("rows", *session.scalars(select(Line.text).order_by(Line.text)), flush=True)


def migrated() -> str:
    """What Alembic comes to, which reads its scripts from files."""
    with create_engine("sqlite://").connect() as conn:
        upgrade(conn, None)
        return " ".join(sorted(inspect(conn).get_table_names()))


if __name__ == "__main__":
    main()
