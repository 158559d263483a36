"""Parts that sessions bring to where others have left them."""

from __future__ import annotations

from lichen_adapters.orm import conflicts
from orm_devices import Device
from orm_models import Address, Visit
from orm_people import named, together
from sqlalchemy import select


def test_a_deletion_is_no_conflict_once_what_another_put_there_went_elsewhere(devices: list[Device]) -> None:
    one, other, _ = devices
    with one.sessions.begin() as session:
        session.add(Address(email="new", user=named(session, "ann")))
    together(devices)
    with other.sessions.begin() as session:
        session.delete(session.scalars(select(Address).filter_by(email="new")).one())
    for email in ("new", "a@b"):
        with one.sessions.begin() as session:
            visit = session.scalars(select(Visit)).one()
            visit.address = session.scalars(select(Address).filter_by(email=email)).one()
    together(devices)
    with other.sessions() as session:
        assert conflicts(session) == []
