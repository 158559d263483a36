"""Three devices with people, whose addresses have visits: parts that are moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lichen_adapters.orm import check
from orm_devices import SPACE, Device
from orm_models import Address, User, Visit
from sqlalchemy import select
from sqlalchemy.orm import Session


@contextmanager
def three(folder: Path) -> Iterator[list[Device]]:
    """Devices with three users, of whom the first has an address with a visit."""
    made = [Device(folder, name) for name in ("one", "other", "third")]
    with made[0].sessions.begin(SPACE) as session:
        session.add(User(name="ann", addresses=[Address(email="a@b", visits=[Visit(why="tea")])]))
        session.add_all([User(name="bob"), User(name="cid")])
    for device in made[1:]:
        device.take_from(made[0])
    yield made
    for device in made:
        device.check()
        device.stop()


def named(session: Session, name: str) -> User:
    """One of the users."""
    return session.scalars(select(User).where(User.name == name)).one()


def shown(device: Device) -> dict[str, list[tuple[str, list[str]]]]:
    """The addresses of each user, with their visits."""
    with device.sessions() as session:
        return {
            user.name: sorted((one.email, sorted(visit.why for visit in one.visits)) for one in user.addresses)
            for user in session.scalars(select(User))
        }


def move(device: Device, name: str) -> None:
    """The address goes to another user."""
    with device.sessions.begin() as session:
        to = named(session, name)
        to.addresses.append(session.scalars(select(Address)).one())


def visits(device: Device) -> list[tuple[str, str]]:
    """Each visit, with its address."""
    with device.sessions() as session:
        return [(why, email) for why, email in session.execute(select(Visit.why, Address.email).join(Visit.address))]


def together(devices: list[Device]) -> None:
    """All have what any of them has, and show the same, also where rows are made anew."""
    for device in devices:
        device.check()
    for device in (*devices, *devices):
        for from_ in devices:
            if from_ is not device:
                device.take_from(from_)
    for device in devices:
        device.check()
        assert check(device.sessions).ok
        assert device.rows() == devices[0].rows()
