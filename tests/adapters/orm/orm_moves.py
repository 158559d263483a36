"""Random moves of parts between owners, on several devices, as the rules of a state machine."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from lichen.errors import NotFound
from lichen_adapters.orm import (
    Clash,
    Commit,
    Dispute,
    EditedDeletion,
    HeldRow,
    check,
    conflicts,
    last_commit,
    undo,
)
from lichen_adapters.orm.held import held_rows
from orm_devices import SPACE, Device, Rows
from orm_shelves import Base, Box, Coin, Label, Shelf, Tray
from orm_strategies import DEVICES, names, which, who
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

LEVELS: tuple[Any, ...] = (Shelf, Box, Tray, Coin)
OWNERS = {Box: "shelf", Tray: "box", Coin: "tray"}
part = st.sampled_from((1, 1, 2, 2, 3))
few = st.integers(0, 2)
shelf = st.integers(0, 4)


def operation(name: str, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """One of the methods that work on a device, with what it is given."""
    return st.tuples(st.just(name), st.fixed_dictionaries(given))


move = operation("move", level=part, which=few, to=which, kind=st.integers(0, 5))
moves = st.one_of(
    move,
    operation("move_several", levels=st.lists(st.tuples(part, few, which), min_size=2, max_size=4)),
    operation("move_out_and_delete", level=part, which=few, to=which, back=st.booleans()),
    operation("delete_and_insert", level=part, which=few, to=which),
    move,
)
others = st.one_of(
    operation("put", level=part, to=which, full=st.booleans()),
    operation("remove", level=st.integers(0, 3), which=few, kind=st.integers(0, 2)),
    operation("insert_again", number_of=st.integers(0, 20), to=which),
    operation("settle", which=which, back=st.booleans()),
    operation("take_back", which=which),
    operation("edit", level=part, which=few, by=st.integers(1, 3)),
    operation("label", which=few, label=st.integers(0, 1)),
    operation("mint", which=few, mint=st.none() | names),
    operation("write_past_the_checks", which=few, worth=st.integers(7, 10)),
    operation("roll_back", level=part, which=few, to=which),
    operation("forget"),
    operation("restart", level=part, which=few, to=which),
)
operations = moves | others


class Moves(RuleBasedStateMachine):
    """What is put, moved, edited, deleted and brought back, on devices that now and then hear of each other."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.devices = [Device(self.folder, f"device{number}", Base) for number in range(DEVICES)]
        self.commits: list[Commit] = []
        self.made = 0
        self.known: list[tuple[int, uuid.UUID, str]] = []
        """All rows ever made: the level, id and name of each."""

    def teardown(self) -> None:
        for device in self.devices:
            assert check(device.sessions).ok
            device.stop()
        shutil.rmtree(self.folder)

    @contextlib.contextmanager
    def work(self, number: int) -> Iterator[Session]:
        """A transaction, which may break a constraint of the database and then is none; what it wrote is there then."""
        device = self.devices[number]
        wrote: Rows = {}
        with contextlib.suppress(IntegrityError):
            with device.sessions.begin(SPACE) as session:
                yield session
                session.flush()
                wrote = self.told(session)
            self.commits += [commit] if (commit := last_commit(session)) is not None else []
            rows, held = device.rows(), {key for _, key in device.held()}
            kept = {place: row for place, row in wrote.items() if place[1] not in held}  # no copy came back with others
            assert {place: rows.get(place) for place in kept} == kept, "a commit leaves what was written"

    def told(self, session: Session) -> Rows:
        """The rows that a session sees, but for those that lie in several documents, and what these own."""
        held = {*session.scalars(select(held_rows.c.id))}
        found: Rows = {}
        for cls in LEVELS:
            for row in session.execute(select(cls.__table__)).mappings():
                above = row.get(f"{OWNERS[cls]}_id") if cls in OWNERS else None
                if row["id"] in held or above in held:
                    held.add(row["id"])
                else:
                    names = {column.name for column in cls.__table__.columns} - {
                        "lichen_space",
                        "lichen_begun",
                        "lichen_clash",
                    }
                    found[cls.__tablename__, row["id"]] = {name: row[name] for name in names}
        return found

    def name(self) -> str:
        self.made += 1
        return f"{self.made:03}"

    def pick(self, session: Session, level: int, number: int) -> Any:
        """One of the rows of a level, whatever their ids are."""
        found = list(session.scalars(select(LEVELS[level]).order_by(LEVELS[level].name)))
        return found[number % len(found)] if found else None

    @initialize()
    def begin(self) -> None:
        """Shelves are named in the order of their ids, so that an example is the same each time."""
        with self.devices[0].sessions.begin(SPACE) as session:
            shelves = [Shelf(name="") for _ in range(5)]
            session.add_all([*shelves, Label(name="red"), Label(name="blue")])
            session.flush()
            for number, shelf in enumerate(sorted(shelves, key=lambda one: one.id)):
                shelf.name = str(number)
            self.known += [(0, shelf.id, shelf.name) for shelf in shelves]
            coins = [Coin(name=self.name()), Coin(name=self.name())]
            first = next(one for one in shelves if one.name == "2")
            first.boxes = [
                Box(name=self.name(), trays=[Tray(name=self.name(), coins=coins), Tray(name=self.name())]),
                Box(name=self.name()),
            ]
        self.remember(0)
        self.everyone_hears()

    def remember(self, number: int) -> None:
        names = {key for _, key, _ in self.known}
        with self.devices[number].sessions() as session:
            for level, cls in enumerate(LEVELS):
                found = session.execute(select(cls.id, cls.name).order_by(cls.name))
                self.known += [(level, key, name) for key, name in found if key not in names]

    def put(self, number: int, level: int, to: int, full: bool) -> None:
        """A new part, perhaps with parts."""
        with self.work(number) as session:
            owner = self.pick(session, level - 1, to)
            if owner is None:
                return
            new = LEVELS[level](name=self.name())
            setattr(new, OWNERS[LEVELS[level]], owner)
            session.add(new)
            if full and level == 1:
                new.trays = [Tray(name=self.name(), coins=[Coin(name=self.name())])]
            elif full and level == 2:
                new.coins = [Coin(name=self.name())]
        self.remember(number)

    def move(self, number: int, level: int, which: int, to: int, kind: int) -> None:
        with self.work(number) as session:
            one, owner = self.pick(session, level, which), self.pick(session, level - 1, to)
            if one is not None and owner is not None:
                self.move_to(session, one, owner, kind)

    def move_to(self, session: Session, one: Any, owner: Any, kind: int) -> None:
        cls = type(one)
        relation = OWNERS[cls]
        column = f"{relation}_id"
        match kind:
            case 0:
                setattr(one, relation, owner)
            case 1:
                getattr(owner, {Box: "boxes", Tray: "trays", Coin: "coins"}[cls]).append(one)
            case 2:
                session.execute(update(cls).where(cls.id == one.id).values({column: owner.id}))
            case 3:
                given = {"owner": owner.id.hex if Device.server is None else owner.id, "name": one.name}
                session.execute(text(f"UPDATE {cls.__tablename__} SET {column} = :owner WHERE name = :name"), given)
            case 4:
                session.bulk_update_mappings(cls.__mapper__, [{"id": one.id, column: owner.id}])
            case 5:
                session.execute(update(cls).values({column: owner.id}))

    def move_several(self, number: int, levels: list[tuple[int, int, int]]) -> None:
        """In one transaction, perhaps one within another, or one twice."""
        with self.work(number) as session:
            for level, which, to in levels:
                one, owner = self.pick(session, level, which), self.pick(session, level - 1, to)
                if one is not None and owner is not None:
                    setattr(one, OWNERS[type(one)], owner)
                session.flush()

    def move_out_and_delete(self, number: int, level: int, which: int, to: int, back: bool) -> None:
        """A part goes to another owner, and its old one is deleted; or it goes there and is deleted itself."""
        with self.work(number) as session:
            one, owner = self.pick(session, level, which), self.pick(session, level - 1, to)
            if one is None or owner is None:
                return
            old = getattr(one, OWNERS[type(one)])
            setattr(one, OWNERS[type(one)], owner)
            session.flush()
            if back:
                session.delete(one)
            elif old is not owner:
                session.delete(old)

    def remove(self, number: int, level: int, which: int, kind: int) -> None:
        with self.work(number) as session:
            one = self.pick(session, level, which)
            if one is None:
                return
            cls = type(one)
            match kind:
                case 0:
                    session.delete(one)
                case 1:
                    session.execute(delete(cls).where(cls.id == one.id))
                case 2:
                    session.execute(text(f"DELETE FROM {cls.__tablename__} WHERE name = :name"), {"name": one.name})

    def insert_again(self, number: int, number_of: int, to: int) -> None:
        """A row that is not in its table under the id that it had, into some owner."""
        with self.work(number) as session:
            level, key, name = self.known[number_of % len(self.known)]
            cls = LEVELS[level]
            if session.get(cls, key) is not None:
                return
            new = cls(id=key, name=name)
            if level:
                owner = self.pick(session, level - 1, to)
                if owner is None:
                    return
                setattr(new, OWNERS[cls], owner)
            session.add(new)

    def delete_and_insert(self, number: int, level: int, which: int, to: int) -> None:
        """In one transaction."""
        with self.work(number) as session:
            one, owner = self.pick(session, level, which), self.pick(session, level - 1, to)
            if one is None or owner is None:
                return
            key, name, cls, owner_id = one.id, one.name, type(one), owner.id
            session.delete(one)
            session.flush()
            session.add(cls(id=key, name=name, **{f"{OWNERS[cls]}_id": owner_id}))

    def edit(self, number: int, level: int, which: int, by: int) -> None:
        with self.work(number) as session:
            if (one := self.pick(session, level, which)) is not None:
                one.uses += by

    def mint(self, number: int, which: int, mint: str | None) -> None:
        with self.work(number) as session:
            if (one := self.pick(session, 3, which)) is not None:
                one.mint = mint

    def label(self, number: int, which: int, label: int) -> None:
        with self.work(number) as session:
            tray = self.pick(session, 2, which)
            labels = session.scalars(select(Label).order_by(Label.name)).all()
            if tray is not None:
                one = labels[label]
                tray.labels = [] if one in tray.labels else [*tray.labels, one]

    def write_past_the_checks(self, number: int, which: int, worth: int) -> None:
        """Another program writes into a coin what its table does not take."""
        device = self.devices[number]
        with device.sessions() as session:
            coin = self.pick(session, 3, which)
            place = None if coin is None else (coin.tray.box.shelf_id, f"@coin/{coin.id.hex}")
        if place is not None:
            device.edit(place[0], lambda document: document.map(place[1]).update({"worth": worth}))

    def take_back(self, number: int, which: int) -> None:
        with contextlib.suppress(NotFound), self.work(number) as session:
            if self.commits:
                undo(session, self.commits[-1 - which % len(self.commits)])

    def settle(self, number: int, which: int, back: bool) -> None:
        """Settle one of the conflicts."""
        with self.work(number) as session:
            found = conflicts(session)
            match found[which % len(found)] if found else None:
                case Clash() as conflict:
                    conflict.resolve(mint="free") if back else conflict.remove()
                case HeldRow() as conflict:
                    conflict.resolve(**({"worth": 1} if conflict.cls is Coin else {})) if back else conflict.remove()
                case Dispute() as conflict:
                    conflict.resolve(conflict.sides[0 if back else -1].value)
                case EditedDeletion() as conflict:
                    conflict.restore() if back else conflict.remove()

    def roll_back(self, number: int, level: int, which: int, to: int) -> None:
        """A move within a savepoint, and one of all that was done."""
        before = self.devices[number].rows()
        with self.devices[number].sessions(SPACE) as session:
            one, owner = self.pick(session, level, which), self.pick(session, level - 1, to)
            if one is None or owner is None:
                return
            with session.begin_nested() as nested:
                setattr(one, OWNERS[type(one)], owner)
                session.flush()
                nested.rollback()
            session.commit()
            assert self.devices[number].rows() == before
            one = self.pick(session, level, which)
            session.delete(one)
            session.flush()
            session.rollback()
        assert self.devices[number].rows() == before

    def forget(self, number: int) -> None:
        """No document is in memory any more."""
        self.devices[number].sessions.memory.let_go()

    def restart(self, number: int, level: int, which: int, to: int) -> None:
        """In the midst of a move."""
        device = self.devices[number]
        before = device.rows()
        session = device.sessions(SPACE)
        one, owner = self.pick(session, level, which), self.pick(session, level - 1, to)
        if one is not None and owner is not None:
            setattr(one, OWNERS[type(one)], owner)
            session.flush()
        device.stop()
        session.close()
        device.start()
        assert device.rows() == before

    @rule(works=st.lists(st.tuples(who, operations), min_size=1, max_size=2 * DEVICES))
    def work_apart(self, works: list[tuple[int, tuple[str, dict[str, Any]]]]) -> None:
        """What devices do before any of them hears of the others."""
        for number, (name, given) in works:
            getattr(self, name)(number, **given)
            self.devices[number].check()

    @rule(heard=st.lists(st.tuples(who, who, st.none() | shelf), min_size=1, max_size=2 * DEVICES))
    def some_hear(self, heard: list[tuple[int, int, int | None]]) -> None:
        """Of all that another has, or of one document."""
        shelves = [key for level, key, _ in self.known if level == 0]
        for one, other, number in heard:
            if one != other:
                only = None if number is None else shelves[number]
                self.devices[one].take_from(self.devices[other], only=only)
                self.devices[one].check()

    @rule()
    def everyone_hears(self) -> None:
        for _ in range(2):
            for one in self.devices:
                for other in self.devices:
                    if one is not other:
                        one.take_from(other)
        for device in self.devices:
            device.check()
            assert device.rows() == self.devices[0].rows()
            assert device.held_in() == self.devices[0].held_in()
