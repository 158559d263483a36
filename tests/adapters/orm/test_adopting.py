"""Adoption: an existing database becomes documents, with new ids, whatever broke the run off; the old file stays."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen_adapters.orm import AdoptionError, SessionMisuse, Sessions, adopt, adopting, old_tables
from orm_devices import OTHER_SPACE, SPACE, Device
from orm_models import Address, Base, Draft, Tag, Topic, User, Visit, Word
from sqlalchemy import select

OLD = """
CREATE TABLE user_account (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, born DATE, active BOOLEAN NOT NULL, age INTEGER, bio TEXT,
    stars INTEGER NOT NULL, tags JSON, steps JSON, friend_id INTEGER REFERENCES user_account (id), topic_id TEXT);
CREATE TABLE address (id INTEGER PRIMARY KEY, email TEXT NOT NULL, user_id INTEGER NOT NULL);
CREATE TABLE visit (visit_number INTEGER PRIMARY KEY, why TEXT NOT NULL, address_id INTEGER NOT NULL);
CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, colour TEXT, size INTEGER NOT NULL);
CREATE TABLE word (id INTEGER PRIMARY KEY, letters TEXT NOT NULL, tag_id INTEGER NOT NULL);
CREATE TABLE topic (id TEXT PRIMARY KEY, name TEXT, pins INTEGER NOT NULL);
CREATE TABLE user_tag (user_id INTEGER, tag_id INTEGER, PRIMARY KEY (user_id, tag_id));
CREATE TABLE draft (id INTEGER PRIMARY KEY, words TEXT NOT NULL, user_id INTEGER);
INSERT INTO tag VALUES (1, 'red', 'r', 2), (2, 'blue', NULL, 0);
INSERT INTO word VALUES (7, 'rouge', 1);
INSERT INTO topic VALUES ('t/1', 'home', 1), ('t', 'work', 0);
INSERT INTO user_account VALUES
    (1, 'ann', '1990-05-06', 1, 33, 'hello', 5, '["a", 3]', '[1, {"x": [2]}]', 2, 't/1'),
    (2, 'ben', NULL, 1, NULL, NULL, 0, '[]', '[]', 1, NULL);
INSERT INTO address VALUES (1, 'a@b', 1), (2, 'c@d', 2), (3, 'e@f', 2);
INSERT INTO visit VALUES (40, 'tea', 3);
INSERT INTO user_tag VALUES (1, 1), (1, 2), (2, 2);
INSERT INTO draft VALUES (12, 'dear ben', 2), (13, 'nobody', NULL);
"""
TWO_OF_ONE_KEY = """
DROP TABLE word;
CREATE TABLE word (id INTEGER PRIMARY KEY, letters TEXT, tag_id INTEGER);
INSERT INTO word VALUES (1, 'a', 1), (2, 'a', 2);
"""
COUNTS = {"tag": 2, "word": 1, "topic": 2, "user_account": 2, "address": 3, "visit": 1, "user_tag": 3, "draft": 2}


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path, "device")
    yield made
    made.check()
    made.stop()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return database(tmp_path / "old 100% #1.db", OLD)


def database(path: Path, statements: str) -> Path:
    with sqlite3.connect(path) as conn:
        conn.executescript(statements)
    conn.close()
    return path


def holds_what_was_there(device: Device) -> None:
    with device.sessions() as session:
        ann, ben = session.scalars(select(User).order_by(User.name))
        assert (ann.born, ann.age, ann.bio, ann.stars) == (datetime.date(1990, 5, 6), 33, "hello", 5)
        assert (ann.tags, ann.steps, ann.active) == ({"a", 3}, [1, {"x": [2]}], True)
        assert (ann.friend, ben.friend) == (ben, ann)
        assert ann.topic is not None
        assert ann.topic.name == "home"
        assert [one.email for one in ann.addresses] == ["a@b"]
        assert sorted(one.email for one in ben.addresses) == ["c@d", "e@f"]
        assert {tag.name for tag in ann.marks} == {"red", "blue"}
        assert {tag.name for tag in ben.marks} == {"blue"}
        visit = session.scalars(select(Visit)).one()
        assert (visit.why, visit.address.email) == ("tea", "e@f")
        assert session.scalars(select(Word)).one().tag.name == "red"
        drafts = session.scalars(select(Draft).order_by(Draft.id)).all()
        assert [(draft.id, draft.user_id) for draft in drafts] == [(12, ben.id), (13, None)]


def test_every_row_is_there_under_a_new_id_and_points_where_it_did(device: Device, old: Path) -> None:
    told: list[tuple[int, int]] = []
    assert adopt(device.sessions, url(old), SPACE, progress=lambda *done: told.append(done)) == COUNTS
    holds_what_was_there(device)
    assert told[-1] == (16, 16)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_another_device_gets_all_of_it(device: Device, old: Path, tmp_path: Path) -> None:
    adopt(device.sessions, url(old), SPACE)
    other = Device(tmp_path, "other")
    other.take_from(device)
    other.check()
    assert other.rows() == device.rows()
    other.stop()


def test_the_old_file_is_only_read(device: Device, old: Path) -> None:
    before = old.read_bytes()
    old.chmod(0o400)
    adopt(device.sessions, url(old), SPACE)
    assert old.read_bytes() == before


@pytest.mark.parametrize("commits", range(0, 18, 2))
def test_a_run_that_was_broken_off_goes_on_where_it_was(
    device: Device, old: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """After any number of commits, with a restart in between."""
    monkeypatch.setattr(old_tables, "CHUNK", 2)
    left = commits
    begin = Sessions.begin

    def failing(self: Sessions, *args: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError("no power")
        return begin(self, *args)  # type: ignore[arg-type]  # a space

    with monkeypatch.context() as patched:
        patched.setattr(Sessions, "begin", failing)
        with pytest.raises(OSError, match="no power"):
            adopt(device.sessions, url(old), SPACE)
    device.stop()
    device.start()
    assert adopt(device.sessions, url(old), SPACE) == COUNTS
    holds_what_was_there(device)


def test_a_run_that_was_broken_off_goes_on_in_its_space(
    device: Device, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(adopting._Adoption, "_write", failing)
        with pytest.raises(OSError, match="no power"):
            adopt(device.sessions, url(old), SPACE)
    with pytest.raises(AdoptionError, match="another space"):
        adopt(device.sessions, url(old), OTHER_SPACE)
    assert adopt(device.sessions, url(old), SPACE) == COUNTS


def failing(*_: object) -> None:
    raise OSError("no power")


def test_a_second_adoption_is_refused_and_doubles_nothing(device: Device, old: Path) -> None:
    adopt(device.sessions, url(old), SPACE)
    with pytest.raises(AdoptionError, match="has adopted"):
        adopt(device.sessions, url(old), SPACE)
    holds_what_was_there(device)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("INSERT INTO address VALUES (9, 'x@y', 99)", r"row 9 of address points at row 99 of user_account"),
        ("ALTER TABLE tag ADD COLUMN shade TEXT", "table tag has no column here for shade"),
        ("UPDATE tag SET size = 20", "(?i)check constraint"),
        ("UPDATE user_account SET born = 'soon'", "row 1 of user_account has 'soon' in born, which does not fit"),
        ("UPDATE user_account SET steps = '{'", "row 1 of user_account has '{' in steps"),
        ("UPDATE user_account SET active = 'false' WHERE id = 2", "row 2 of user_account has 'false' in active"),
        ("UPDATE user_account SET name = x'00'", "row 1 of user_account has .* in name"),
        ("UPDATE user_account SET age = 'old'", "row 1 of user_account has 'old' in age"),
        (TWO_OF_ONE_KEY, "row 2 of word has the letters 'a' of row 1 of the old"),
        ("DROP TABLE address; CREATE TABLE address (id, email, user_id)", "no key of one column"),
    ],
)
def test_what_cannot_be_adopted_is_named(device: Device, old: Path, wrong: str, said: str) -> None:
    database(old, wrong)
    with pytest.raises(AdoptionError, match=said):
        adopt(device.sessions, url(old), SPACE)


def test_values_of_another_type_become_what_their_columns_hold(device: Device, tmp_path: Path) -> None:
    """SQLite keeps what a column without a type is given."""
    old = tmp_path / "old.db"
    database(old, "CREATE TABLE topic (id INTEGER PRIMARY KEY, name, hue, pins)")
    database(old, "INSERT INTO topic VALUES (1, 5, 2.5, '3'), (2, 'a', NULL, 4.0)")
    adopt(device.sessions, url(old), SPACE)
    with device.sessions() as session:
        found = {(one.name, one.hue, one.pins) for one in session.scalars(select(Topic))}
    assert found == {("5", "2.5", 3), ("a", None, 4)}


def test_a_natural_key_that_the_space_has_stands_for_the_row_that_is_there(
    device: Device, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database(old, "INSERT INTO topic VALUES ('twice', 'work', 3)")
    database(old, "UPDATE user_account SET topic_id = 'twice' WHERE id = 2")
    database(old, "CREATE TABLE user_topic (user_id, topic_id, PRIMARY KEY (user_id, topic_id))")
    database(old, "INSERT INTO user_topic VALUES (2, 't'), (2, 'twice'), (1, 't/1')")
    with device.sessions.begin(SPACE) as session:
        session.add(Topic(name="home", hue="red"))
    with monkeypatch.context() as patched:
        patched.setattr(adopting._Adoption, "_write", failing)
        with pytest.raises(OSError, match="no power"):
            adopt(device.sessions, url(old), SPACE)
    adopt(device.sessions, url(old), SPACE)
    with device.sessions() as session:
        assert {(one.name, one.hue) for one in session.scalars(select(Topic))} == {("home", "red"), ("work", None)}
        topics = {user.name: (user.topic, user.topics) for user in session.scalars(select(User))}
        for name, topic in (("ann", "home"), ("ben", "work")):
            found = session.scalars(select(Topic).where(Topic.name == topic)).one()
            assert topics[name] == (found, [found])


def test_a_unique_key_that_the_space_has_is_named_before_anything_is_written(device: Device, old: Path) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add(Tag(name="blue"))
    with pytest.raises(AdoptionError, match=r"row 2 of tag has the name 'blue' of row .*, which is here"):
        adopt(device.sessions, url(old), SPACE)
    with device.sessions.begin(SPACE) as session:
        session.delete(session.scalars(select(Tag)).one())
    assert adopt(device.sessions, url(old), OTHER_SPACE) == COUNTS


def test_what_was_changed_on_the_way_is_found(device: Device, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prove = adopting._Adoption._prove  # the moment between writing and comparing

    def change(self: object, *args: object) -> None:
        with device.sessions.begin() as session:
            session.scalars(select(Tag).where(Tag.name == "red")).one().colour = "other"
        prove(self, *args)  # type: ignore[arg-type]  # what it is called with

    monkeypatch.setattr(adopting._Adoption, "_prove", change)  # as above
    with pytest.raises(AdoptionError, match="of tag is another in colour"):
        adopt(device.sessions, url(old), SPACE)


def test_a_file_that_is_not_there_is_not_made(device: Device, tmp_path: Path) -> None:
    with pytest.raises(AdoptionError, match="unable to open"):
        adopt(device.sessions, url(tmp_path / "none.db"), SPACE)
    assert not (tmp_path / "none.db").exists()


def test_sessions_are_prepared_first(device: Device, old: Path) -> None:
    device.sessions.close()
    device.sessions = Sessions(device, Base)
    with pytest.raises(SessionMisuse):
        adopt(device.sessions, url(old), SPACE)
    device.sessions.prepare()
    assert adopt(device.sessions, url(old), SPACE) == COUNTS
    with device.sessions() as session:
        assert session.scalars(select(Address.email).order_by(Address.email)).all() == ["a@b", "c@d", "e@f"]
        assert session.scalars(select(Topic.name).order_by(Topic.name)).all() == ["home", "work"]


def url(path: Path) -> str:
    return f"sqlite:///{path}"
