"""SQLAlchemy's quick start, as the tutorial has it: five lines of its models change, and it works the same.

One literal id of the quick start is replaced: `session.get(User, 2)` takes the id of the user that is meant.
"""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from orm_devices import SPACE, Device
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorial" / "rows.md"
PLAIN, SYNCED, MAIN, _NEXT = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)


def models(source: str) -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "models"}
    exec(compile(source, "models", "exec", dont_inherit=True), found)
    return found


@pytest.fixture(params=["plain", "synced"])
def app(request: Any, tmp_path: Path) -> Iterator[tuple[dict[str, Any], Callable[[], Session]]]:
    """The models, and what makes sessions."""
    found = models(PLAIN if request.param == "plain" else SYNCED)
    if request.param == "plain":
        engine = create_engine("sqlite://")
        found["Base"].metadata.create_all(engine)
        yield found, lambda: Session(engine)
        engine.dispose()
    else:
        device = Device(tmp_path, "device", found["Base"])
        yield found, lambda: device.sessions(SPACE)
        device.check()
        device.stop()


def test_the_quick_start_works_the_same(app: tuple[dict[str, Any], Callable[[], Session]]) -> None:
    found, open_session = app
    User, Address = found["User"], found["Address"]  # noqa: N806  # they are classes
    with open_session() as session:
        spongebob = User(name="spongebob", fullname="Spongebob", addresses=[Address(email_address="spongebob@sea")])
        sandy_has = [Address(email_address="sandy@sea"), Address(email_address="sandy@land")]
        sandy = User(name="sandy", fullname="Sandy", addresses=sandy_has)
        session.add_all([spongebob, sandy, User(name="patrick", fullname="Patrick")])
        session.commit()
    session = open_session()
    named = select(User).where(User.name.in_(["spongebob", "sandy"])).order_by(User.name)
    assert [user.fullname for user in session.scalars(named)] == ["Sandy", "Spongebob"]
    joined = select(Address).join(Address.user).where(User.name == "sandy").where(Address.email_address == "sandy@land")
    address = session.scalars(joined).one()
    patrick = session.scalars(select(User).where(User.name == "patrick")).one()
    patrick.addresses.append(Address(email_address="patrick@sea"))
    address.email_address = "sandy@moon"
    session.commit()
    sandy = session.get(User, address.user.id)  # the quick start says 2
    assert sandy is not None
    sandy.addresses.remove(address)
    session.flush()
    session.delete(patrick)
    session.commit()
    assert session.scalars(select(Address.email_address).order_by(Address.email_address)).all() == [
        "sandy@sea",
        "spongebob@sea",
    ]
    assert session.scalars(select(User.name).order_by(User.name)).all() == ["sandy", "spongebob"]
    session.close()


def test_five_lines_of_the_models_change_and_an_import() -> None:
    changes = [line for line in difflib.ndiff(PLAIN.splitlines(), SYNCED.splitlines()) if line[0] == "-"]
    assert len(changes) == 5
    new = [line for line in difflib.ndiff(PLAIN.splitlines(), SYNCED.splitlines()) if line[0] == "+"]
    assert len(new) == 4
    assert new[0] == "+ from lichen_adapters.orm import DocId, Synced"


def test_the_tutorial_runs(tmp_path: Path) -> None:
    program = f"{SYNCED}\n{MAIN}"
    command = [sys.executable, "-W", "error", "-c", program]
    ran = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    emails = "['sandy@home.org', 'sandy@sea.org', 'sandy@sqlalchemy.org']"
    assert ran.stdout == f"['sandy', 'spongebob'] {emails}\n"
