"""Searching texts: what is found, whoever wrote it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen_adapters.orm import (
    DocId,
    MappingError,
    SearchTooLong,
    Synced,
    live,
    search,
    synced_text,
)
from lichen_adapters.orm.search_words import MOST_CHARACTERS, MOST_WORDS, Words, words_of
from orm_devices import SPACE, Device
from sqlalchemy import ForeignKey, delete, event, func, insert, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    """The models of these tests."""


class Note(Synced, Base):
    """Two texts that are searched, and one that is not."""

    __tablename__ = "note"
    kind: Mapped[str] = mapped_column(default="note")
    title: Mapped[str] = synced_text(search=True)
    body: Mapped[str | None] = synced_text(search=True)
    secret: Mapped[str | None] = synced_text()
    remarks: Mapped[list[Remark]] = relationship(cascade="all, delete-orphan")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "note"}  # noqa: RUF012  # as SQLAlchemy has it


class Remark(Synced, Base, part_of="note_id"):
    """A part, in a language without spaces."""

    __tablename__ = "re\"mark's"
    words: Mapped[str] = synced_text(search="trigram")
    note_id: Mapped[DocId] = mapped_column(ForeignKey("note.id", ondelete="CASCADE"))


class Recipe(Note):
    """Over two tables."""

    __tablename__ = "recipe"
    id: Mapped[DocId] = mapped_column(ForeignKey("note.id", ondelete="CASCADE"), primary_key=True)
    steps: Mapped[str] = synced_text(search=True, default="")
    __mapper_args__ = {"polymorphic_identity": "recipe"}  # noqa: RUF012  # as above


class Poem(Note):
    """In the table of its base."""

    verse: Mapped[str | None] = synced_text(search=True)
    __mapper_args__ = {"polymorphic_identity": "poem"}  # noqa: RUF012  # as above


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path, "device", Base)
    yield made
    made.check()
    made.stop()


def add(device: Device, *titles: str, **values: Any) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add_all(Note(title=title, **values) for title in titles)


def found(device: Device, typed: str, cls: type[Note] = Note) -> list[str]:
    with device.sessions() as session:
        return [note.title for note in session.scalars(search(cls, typed))]


def remarked(session: Session, typed: str) -> list[str]:
    return [remark.words for remark in session.scalars(search(Remark, typed))]


def test_rows_are_found_that_have_all_words_in_any_of_their_texts(device: Device) -> None:
    add(device, "Fried eggs", body="with bacon", secret="butter")
    add(device, "Bacon")
    assert found(device, "bacon eggs") == ["Fried eggs"]
    assert found(device, "butter") == []
    assert found(device, "EGGS nothing") == []


def test_the_last_word_may_be_the_beginning_of_one_and_others_may_not(device: Device) -> None:
    add(device, "Fried eggs")
    assert found(device, "fried eg") == ["Fried eggs"]
    assert found(device, "eg fried") == []
    assert found(device, '"fried eg"') == []
    assert found(device, '"fried eggs"') == ["Fried eggs"]
    assert found(device, '"eggs fried"') == []


def test_case_and_accents_make_no_difference(device: Device) -> None:
    add(device, "Crème BRÛLÉE")
    assert found(device, "creme brûlée") == ["Crème BRÛLÉE"]
    assert found(device, "CREME BRU") == ["Crème BRÛLÉE"]


def test_the_best_comes_first(device: Device) -> None:
    add(device, "long", body="an egg among a great many words that are of other things altogether")
    add(device, "short", body="egg egg")
    add(device, *(f"other {number}" for number in range(9)))
    assert found(device, "egg") == ["short", "long"]


def test_a_search_is_refined_as_other_selects_are(device: Device) -> None:
    add(device, "one egg", "two eggs", "three eggs")
    with device.sessions() as session:
        titles = search(Note, "egg").where(Note.title != "one egg").order_by(None).order_by(Note.title).limit(1)
        assert [note.title for note in session.scalars(titles)] == ["three eggs"]
        assert session.scalar(select(func.count()).select_from(search(Note, "egg").subquery())) == 3


def test_excerpts_mark_what_was_found(device: Device) -> None:
    add(device, "Breakfast", body="two fried éggs and toast")
    with device.sessions() as session:
        ((note, excerpt),) = session.execute(search(Note, "eggs", marks=("[", "]"))).all()
    assert (note.title, excerpt) == ("Breakfast", "two fried [éggs] and toast")


def test_every_writer_writes_the_index(device: Device) -> None:
    add(device, "alpha", "beta", "gamma", "delta")
    with device.sessions.begin() as session:
        session.scalars(search(Note, "alpha")).one().body = "by the session"
        session.execute(update(Note).where(Note.title == "beta").values(body="by a bulk update"))
        session.execute(text("UPDATE note SET body = 'by plain SQL' WHERE title = 'gamma'"))
        session.execute(delete(Note).where(Note.title == "delta"))
    assert found(device, "session") == ["alpha"]
    assert found(device, "bulk") == ["beta"]
    assert found(device, "SQL") == ["gamma"]
    assert found(device, "delta") == []
    device.check()


def test_what_is_rolled_back_is_not_found(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add(Note(title="kept"))
        session.flush()
        savepoint = session.begin_nested()
        session.add(Note(title="lost"))
        session.flush()
        assert len(session.scalars(search(Note, "lost")).all()) == 1
        savepoint.rollback()
    assert found(device, "lost") == []
    assert found(device, "kept") == ["kept"]


def test_what_a_merge_brings_is_found_in_parts_too(device: Device, tmp_path: Path) -> None:
    other = Device(tmp_path, "other", Base)
    with other.sessions.begin(SPACE) as session:
        session.add(Note(title="Breakfast", remarks=[Remark(words="我喜欢吃鸡蛋")]))
    device.take_from(other)
    assert found(device, "breakfast") == ["Breakfast"]
    with other.sessions.begin() as session:
        session.scalars(select(Remark)).one().words += "和面包"
    device.take_from(other)
    with device.sessions() as session:
        assert remarked(session, "和面包") == ["我喜欢吃鸡蛋和面包"]
    with other.sessions.begin() as session:
        session.delete(session.scalars(select(Note)).one())
    device.take_from(other)
    with device.sessions() as session:
        assert remarked(session, "和面包") == []
    other.stop()


def test_trigrams_find_parts_of_words_and_what_is_shorter_than_them(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add(Note(title="a", remarks=[Remark(words="我喜欢吃鸡蛋"), Remark(words="Straßenbahn 50% off_now")]))
    with device.sessions() as session:
        assert remarked(session, "鸡蛋") == ["我喜欢吃鸡蛋"]
        assert remarked(session, "喜欢吃 我") == ["我喜欢吃鸡蛋"]
        assert remarked(session, "喜欢吃 他") == []
        assert remarked(session, "SSENBAHN") == []
        assert remarked(session, "BAHN 0%") == ["Straßenbahn 50% off_now"]
        assert remarked(session, "1%") == []
        assert remarked(session, "f_") == ["Straßenbahn 50% off_now"]
        assert remarked(session, "t_") == []
        ((_, excerpt),) = session.execute(search(Remark, "喜欢吃", marks=("<", ">"))).all()
        assert excerpt == "我<喜欢吃>鸡蛋"


def test_what_inherits_is_searched_in_the_texts_of_all_its_tables(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add_all([Recipe(title="Omelette", steps="beat the eggs"), Recipe(title="Eggs", steps="boil eggs")])
        session.add_all([Poem(title="Ode", verse="to an egg"), Note(title="egg")])
    assert sorted(found(device, "egg", Recipe)) == ["Eggs", "Omelette"]
    assert found(device, "omel", Recipe) == ["Omelette"]
    assert found(device, "egg", Poem) == ["Ode"]
    assert sorted(found(device, "egg")) == ["Eggs", "Ode", "egg"]


def test_nothing_that_is_typed_is_a_syntax_error(searched: Device) -> None:
    @given(typed=st.text("\x00\ud800\"'*()^:-+&|!<>{}[]\\,.;é漢 \t\n\u3000abAND", max_size=30))
    def work(typed: str) -> None:
        with searched.sessions() as session:
            session.scalars(search(Note, typed)).all()
            session.execute(search(Note, typed, marks=("<", ">"))).all()
            session.execute(search(Remark, typed, marks=("<", ">"))).all()

    work()


@pytest.fixture
def searched(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path, "device", Base)
    with made.sessions.begin(SPACE) as session:
        session.add(Note(title="AND", remarks=[Remark(words="abé漢")]))
    yield made
    made.stop()


def test_what_has_no_words_finds_nothing(searched: Device) -> None:
    for typed in ("", "  ", '"', '""', "-- ..", "\x00"):
        assert found(searched, typed) == []
    assert found(searched, "and --") == ["AND"]
    assert found(searched, "an\x00d") == []


def test_words_and_phrases_are_told_apart() -> None:
    assert words_of('red "green blue" whi') == Words(("red", "green blue"), "whi")
    assert words_of('red "green blue"') == Words(("red", "green blue"))
    assert words_of('a "b') == Words(("a",), '"b')


def test_a_search_of_too_much_is_refused() -> None:
    search(Note, "a" * MOST_CHARACTERS)
    search(Note, "a " * MOST_WORDS)
    with pytest.raises(SearchTooLong, match="1000 characters at most, not of 1001"):
        search(Note, "a" * (MOST_CHARACTERS + 1))
    with pytest.raises(SearchTooLong, match="64 words at most, not of 65"):
        search(Note, "a " * (MOST_WORDS + 1))


async def test_a_live_search_shows_what_comes_to_match(device: Device) -> None:
    add(device, "one egg", "two")
    shown: list[list[str]] = []
    async with asyncio.timeout(9):
        async for notes in live(device.sessions, search(Note, "egg")):
            shown.append(sorted(note.title for note in notes))
            if len(shown) == 2:
                break
            with device.sessions.begin() as session:
                session.execute(update(Note).where(Note.title == "two").values(secret="no egg"))
                session.execute(update(Note).where(Note.title == "two").values(body="eggs"))
    assert shown == [["one egg"], ["one egg", "two"]]


def test_statements_are_compiled_once_for_all_searches(device: Device) -> None:
    add(device, "one", "two")
    assert found(device, "one") == ["one"]
    compiled = 0

    def count(_conn: Any, _clause: Any, _many: Any, _parameters: Any, _options: Any, result: Any) -> None:
        nonlocal compiled
        compiled += result.context.cache_hit.name != "CACHE_HIT"

    event.listen(device.sessions.database, "after_execute", count)
    assert found(device, "two") == ["two"]
    assert compiled == 0


def test_a_class_without_searched_texts_is_refused() -> None:
    class Fresh(DeclarativeBase):
        pass

    class Plain(Synced, Fresh):
        __tablename__ = "plain"
        words: Mapped[str] = synced_text()

    with pytest.raises(MappingError, match="no text of Plain is searched"):
        search(Plain, "a")


def test_rows_inserted_by_core_are_found(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        session.execute(insert(Note), [{"title": "by core", "kind": "note"}])
    assert found(device, "core") == ["by core"]
