"""Notes from the command line that devices share: written, backed up, and found again.

python examples/back_up_and_search.py ann.db write "Oat milk" "The market has it until noon."
python examples/back_up_and_search.py ann.db share               # prints an invitation; ends at Ctrl-C
python examples/back_up_and_search.py ben.db join lichen1...     # fetches the notes; without a ticket also later
python examples/back_up_and_search.py ben.db back-up backups     # copies the store, and looks into the copy
python examples/back_up_and_search.py ben.db find mil            # the last word may be a beginning
"""

from __future__ import annotations

import argparse
import inspect
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lichen.api.events import CaughtUp
from lichen.blocking import Engine, timeout
from lichen_adapters.orm import Synced, search, synced_text
from lichen_adapters.orm.blocking import Sessions
from sqlalchemy import func, select
from sqlalchemy.orm import DeclarativeBase, Mapped


class Base(DeclarativeBase):
    pass


class Note(Synced, Base):
    __tablename__ = "note"
    title: Mapped[str] = synced_text(search=True)
    body: Mapped[str] = synced_text(search=True)


@contextmanager
def opened(store: Path, *, create: bool = False) -> Iterator[tuple[Engine, Sessions]]:
    with Engine.open(f"sqlite:///{store}", create=create) as engine, Sessions(engine, Base) as sessions:
        sessions.prepare()
        yield engine, sessions


def write(store: Path, title: str, body: str) -> None:
    with opened(store, create=True) as (engine, sessions):
        space = engine.spaces[0] if engine.spaces else engine.create_space("Notes")
        with sessions.begin(space) as session:
            session.add(Note(title=title, body=body))


def share(store: Path, address: str = "") -> None:
    with opened(store) as (engine, _), suppress(KeyboardInterrupt):
        own_port = 10_000 + int.from_bytes((space := engine.spaces[0]).id) % 20_000  # the same at every start
        engine.listen(address or f"ws://127.0.0.1:{own_port}")
        print(space.invite(mode="auto"), flush=True)
        for event in engine.events():
            print(type(event).__name__, flush=True)


def join(store: Path, ticket: str = "") -> None:
    with opened(store, create=True) as (engine, _), timeout(60), engine.events() as events:
        engine.join(ticket) if ticket else engine.connect_remembered()
        while not isinstance(next(events), CaughtUp):
            pass
        while not engine.up_to_date:
            next(events)


def back_up(store: Path, folder: str) -> None:
    with opened(store):
        pass  # whatever a crash has left is in its place now, and no program has the store open
    copy = Path(folder) / f"{store.stem} {time.strftime('%Y-%m-%d %H.%M.%S')}" / store.name
    copy.parent.mkdir(parents=True)
    for file in (store, store.with_name(f"{store.name}.key")):
        shutil.copy2(file, copy.parent)
    with opened(copy) as (_, sessions), sessions() as session:
        print(session.scalar(select(func.count()).select_from(Note)), "notes are in", copy)


def find(store: Path, words: str) -> None:
    with opened(store) as (_, sessions), sessions() as session:
        for note, excerpt in session.execute(search(Note, words, marks=("«", "»"))):
            print(f"{note.title}: {excerpt}")


COMMANDS = dict[str, Callable[..., None]](
    {"write": write, "share": share, "join": join, "back-up": back_up, "find": find}
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("words", nargs="*")
    given = parser.parse_args()
    try:
        call = inspect.signature(COMMANDS[given.command]).bind(given.store, *given.words)
    except TypeError as error:
        parser.error(f"{given.command}: {error}")
    COMMANDS[given.command](*call.args)
