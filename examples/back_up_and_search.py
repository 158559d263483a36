"""Notes from the command line that devices share: written, backed up, and found again.

python examples/back_up_and_search.py ann.db write "Oat milk" "The market has it until noon."
python examples/back_up_and_search.py ann.db share               # prints an invitation; ends at Ctrl-C
python examples/back_up_and_search.py ben.db join lichen1...     # fetches the notes; without a ticket also later
python examples/back_up_and_search.py ben.db back-up backups     # copies the store, and looks into the copy
python examples/back_up_and_search.py ben.db find mil            # the last word may be a beginning
"""

from __future__ import annotations

import inspect
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lichen import checked_ticket, in_words, passphrase_of
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
    if not create and not store.exists():
        sys.exit(f"there is no store {store} yet: `write` a note into it, or `join` others with an invitation")
    passphrase = passphrase_of(url := f"sqlite:///{store}")
    with Engine.open(url, passphrase=passphrase) as engine, Sessions(engine, Base) as sessions:
        sessions.prepare()
        yield engine, sessions


def say(done: str, space: Space) -> None:
    """What was done with which notes, and which others are here: a device that joined others may have its own, too."""
    print("\n".join(filter(None, [f"{done} {space.told}", space.about])))


def counted(notes: int | None) -> str:
    return "1 note is in" if notes == 1 else f"{notes} notes are in"


def write(given: Namespace, title: str, body: str) -> None:
    with opened(given.store, create=True) as (engine, sessions):
        space = engine.open_space("Notes", own=given.own)
        with sessions.begin(space) as session:
            session.add(Note(title=title, body=body))
        say("written into", space)


def share(given: Namespace, address: str = "") -> None:
    with opened(given.store) as (engine, _), suppress(KeyboardInterrupt):
        space = engine.open_space("Notes", own=given.own)
        engine.listen(address or space.usual_address)
        print(space.invite(mode="auto"), flush=True)
        for event in engine.events():
            print(type(event).__name__, flush=True)


def join(given: Namespace, ticket: str = "") -> None:
    with opened(given.store, create=bool(checked_ticket(ticket))) as (engine, sessions), engine.events() as events:
        engine.connect_remembered()
        space = engine.open_space("Notes", ticket, own=given.own, timeout_s=60, progress=print)
        try:
            with timeout(60):
                while not isinstance(next(events), CaughtUp):
                    pass
                while not engine.up_to_date:
                    next(events)
        except TimeoutError:
            sys.exit("nobody was there for a minute: the other device has to `share`; then join again, without ticket")
        with sessions() as session:
            found = session.scalar(select(func.count()).select_from(Note).where(in_space(Note, space)))
        say(counted(found), space)


def back_up(given: Namespace, folder: str) -> None:
    with opened(given.store):
        pass  # whatever a crash has left is in its place now, and no program has the store open
    copy = Path(folder) / f"{given.store.stem} {time.strftime('%Y-%m-%d %H.%M.%S')}" / given.store.name
    try:
        copy.parent.mkdir(parents=True)
        for file in (given.store, given.store.with_name(f"{given.store.name}.key")):
            shutil.copy2(file, copy.parent)
    except OSError as error:
        sys.exit(f"cannot copy into {copy.parent}: {error.strerror}: choose another folder, or make room in it")
    with opened(copy) as (_, sessions), sessions() as session:
        print(counted(session.scalar(select(func.count()).select_from(Note))), copy)


def find(given: Namespace, words: str) -> None:
    with opened(given.store) as (engine, sessions), sessions() as session:
        space = engine.open_space("Notes", own=given.own)
        found = session.execute(search(Note, words, marks=("«", "»")).where(in_space(Note, space))).all()
        for note, excerpt in found:
            print(f"{note.title}: {excerpt}")
        print("found", len(found), "in", space.told, file=sys.stderr)


COMMANDS = dict[str, Callable[..., None]](
    {"write": write, "share": share, "join": join, "back-up": back_up, "find": find}
)

if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="the file of this device")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("words", nargs="*", help="what the command takes, as above")
    parser.add_argument("--own", action="store_true", help="use the notes that this device began, if it joined others")
    given = parser.parse_intermixed_args()
    try:
        inspect.signature(COMMANDS[given.command]).bind(given, *given.words)
    except TypeError as error:
        parser.error(f"{given.command}: {error}")
    with in_words():
        COMMANDS[given.command](given, *given.words)
