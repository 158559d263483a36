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
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lichen import in_words
from lichen.api.events import CaughtUp
from lichen.blocking import Engine, Space, timeout
from lichen_adapters.orm import Synced, in_space, search, synced_text
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


def about(space: Space, engine: Engine) -> str:
    """Which notes these are: a device that wrote before it joined has two kinds, of which the last that came show."""
    whose = "your own, so far: join others' with an invitation" if len(space.members()) == 1 else "shared"
    others = [one.name for one in engine.spaces if one.id != space.id]
    return f"{space.name}, {whose}" + "".join(f"; also on this device, not shown: {name}" for name in others)


def write(store: Path, title: str, body: str) -> None:
    with opened(store, create=True) as (engine, sessions):
        space = engine.open_space("Notes")
        with sessions.begin(space) as session:
            session.add(Note(title=title, body=body))
        print("written into", about(space, engine))


def share(store: Path, address: str = "") -> None:
    with opened(store) as (engine, _), suppress(KeyboardInterrupt):
        space = engine.open_space("Notes")
        engine.listen(address or space.usual_address)
        print(space.invite(mode="auto"), flush=True)
        for event in engine.events():
            print(type(event).__name__, flush=True)


def join(store: Path, ticket: str = "") -> None:
    with opened(store, create=bool(ticket)) as (engine, sessions), engine.events() as events:
        engine.connect_remembered()
        space = engine.open_space("Notes", ticket, timeout_s=60, progress=print)
        try:
            with timeout(60):
                while not isinstance(next(events), CaughtUp):
                    pass
                while not engine.up_to_date:
                    next(events)
        except TimeoutError:
            sys.exit(
                "nobody was there for a minute: the other device has to run `share`; then join again, without ticket"
            )
        with sessions() as session:
            count = session.scalar(select(func.count()).select_from(Note).where(in_space(Note, space)))
        print(count, "notes are in", about(space, engine))


def back_up(store: Path, folder: str) -> None:
    with opened(store):
        pass  # whatever a crash has left is in its place now, and no program has the store open
    copy = Path(folder) / f"{store.stem} {time.strftime('%Y-%m-%d %H.%M.%S')}" / store.name
    try:
        copy.parent.mkdir(parents=True)
        for file in (store, store.with_name(f"{store.name}.key")):
            shutil.copy2(file, copy.parent)
    except OSError as error:
        sys.exit(f"cannot copy into {copy.parent}: {error.strerror}: choose another folder, or make room in it")
    with opened(copy) as (_, sessions), sessions() as session:
        print(session.scalar(select(func.count()).select_from(Note)), "notes are in", copy)


def find(store: Path, words: str) -> None:
    with opened(store) as (engine, sessions), sessions() as session:
        space = engine.open_space("Notes")
        found = session.execute(search(Note, words, marks=("«", "»")).where(in_space(Note, space))).all()
        for note, excerpt in found:
            print(f"{note.title}: {excerpt}")
        print("found", len(found), "in", about(space, engine), file=sys.stderr)


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
    with in_words():
        COMMANDS[given.command](*call.args)
