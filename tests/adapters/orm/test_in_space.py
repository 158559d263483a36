"""Rows of one space, where a device has several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen.testing.postgres import PostgresServer
from lichen_adapters.orm import SessionMisuse, in_space
from lichen_adapters.orm.query import Query
from orm_devices import OTHER_SPACE, SPACE, Device
from orm_models import Address, Base, User
from sqlalchemy import select, update
from sqlalchemy.orm import aliased


@pytest.fixture(params=["sqlite", "postgresql"])
def device(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Device]:
    server: PostgresServer | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
    Device.server = server
    made = Device(tmp_path, "device")
    Device.server = None
    yield made
    made.stop()
    if server is not None:
        server.drop_all()


def test_a_live_query_of_one_space_shows_its_rows_alone_and_is_not_run_for_others(device: Device) -> None:
    for space, names in ((SPACE, ("ann", "ben")), (OTHER_SPACE, ("cleo",))):
        with device.sessions.begin(space) as session:
            session.add_all([User(name=name, addresses=[Address(email=f"{name}@b")]) for name in names])
    here = aliased(User)
    mail = select(Address.email).join(here).where(in_space(here, OTHER_SPACE))
    with device.sessions() as session:
        assert session.scalars(mail).all() == ["cleo@b"]
    query = Query(device.sessions, select(User.name).where(in_space(User, SPACE)).order_by(User.name), ())
    query.listen(lambda: None)
    assert [*(query.next() or ())] == ["ann", "ben"]
    with device.sessions.begin() as session:
        session.execute(update(User).where(User.name == "cleo").values(name="abe"))
    assert (query.next(), query.runs) == (None, 1)
    with device.sessions.begin(SPACE) as session:
        session.add(User(name="dora"))
    assert [*(query.next() or ())] == ["ann", "ben", "dora"]


@pytest.mark.parametrize("cls", [Address, Base], ids=["a part", "no class of rows"])
def test_what_is_no_document_is_in_no_space(cls: type[Base]) -> None:
    with pytest.raises(SessionMisuse) as raised:
        in_space(cls, SPACE)
    assert raised.value.__notes__
