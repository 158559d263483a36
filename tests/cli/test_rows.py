"""`lichen rows check`: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from lichen import Engine
from lichen.cli import others
from lichen.cli.commands import app
from lichen.testing.commands import done, lichen, refused
from lichen_adapters.orm import Sessions
from sqlalchemy import Connection
from typer.testing import CliRunner

MODELS = """
from lichen_adapters.orm import Synced, synced_text
from sqlalchemy.orm import DeclarativeBase, Mapped

class Base(DeclarativeBase):
    pass

class Note(Synced, Base):
    __tablename__ = "note"
    title: Mapped[str]
    body: Mapped[str] = synced_text(search=True, default="")

class Empty(DeclarativeBase):
    pass

nothing = 1
"""
CHECK = ("rows", "check", "models_of_it:Base", "--store", "a.db")


@pytest.fixture
def notes(folder: Path) -> Path:
    """A folder with a store in which a note lies, and the models."""
    (folder / "models_of_it.py").write_text(MODELS)
    (folder / "broken_models.py").write_text("1 / 0")
    names: dict[str, Any] = {"__name__": "models_of_it"}
    exec(compile(MODELS, "models_of_it", "exec", dont_inherit=True), names)

    async def write() -> None:
        async with Engine.open(f"sqlite:///{folder}/a.db", passphrase="right") as engine:
            sessions = Sessions(engine, names["Base"])
            sessions.prepare()
            with sessions.begin(engine.spaces[0]) as session:
                session.add(names["Note"](title="milk"))
            sessions.close()

    asyncio.run(write())
    return folder


def past(folder: Path, statement: str) -> None:
    """Write past the adapter."""

    async def write() -> None:
        async with Engine.open(f"sqlite:///{folder}/a.db", passphrase="right") as engine:

            def job(conn: Connection) -> None:
                conn.exec_driver_sql(statement)

            engine.store.write(job).result(9)

    asyncio.run(write())


def test_what_went_past_the_adapter_is_named_and_repaired_only_when_that_is_asked_for(notes: Path) -> None:
    right = {"documents": 1, "schema": [], "wrong": 0, "rows": [], "repaired": False, "ok": True}
    assert done(notes, *CHECK) == right
    past(notes, "UPDATE note SET title = 'eggs'")
    for _ in range(2):
        result = lichen(notes, *CHECK)
        found = json.loads(result.stdout)
        assert (result.returncode, found["wrong"], found["ok"]) == (1, 1, False)
        ((row,),) = (found["rows"],)
        assert (row["table"], len(row["row"]), row["wrong"], row["columns"]) == ("note", 1, "changed", ["title"])
    assert done(notes, *CHECK, "--repair") == found | {"repaired": True, "ok": True}
    assert done(notes, *CHECK) == right


def test_people_are_told_in_words(notes: Path) -> None:
    past(notes, "DELETE FROM note")
    past(notes, "DROP TRIGGER lichen_note_search_insert")
    result = lichen(notes, *CHECK, as_json=False)
    first, second, last = result.stdout.splitlines()
    assert (result.returncode, first) == (1, "the search index of table note is missing, or not as declared")
    assert second.startswith("note ")
    assert second.endswith(" is missing")
    assert last == "1 documents were compared; 1 rows were not what they say"
    repaired = lichen(notes, *CHECK, "--repair", as_json=False)
    assert (repaired.returncode, repaired.stdout.splitlines()[-1]) == (0, f"{last}, and were made so")


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("models_of_it", "'models_of_it' names no declarative base"),
        ("models_of_it:nothing", "models_of_it:nothing is no declarative base"),
        ("models_of_it:Note.missing", "models_of_it:Note.missing is no declarative base"),
        ("models_of_it:Empty", "models_of_it:Empty has no synced classes"),
        ("no_such_module:Base", "no_such_module cannot be imported"),
        ("broken_models:Base", "broken_models cannot be imported: division by zero"),
    ],
)
def test_models_that_are_none_are_refused(notes: Path, base: str, message: str) -> None:
    error = refused(notes, "rows", "check", base, "--store", "a.db")
    assert error["type"] == "ConfigError"
    assert message in error["message"]


def test_a_store_that_is_not_there_is_refused(notes: Path) -> None:
    assert refused(notes, "rows", "check", "models_of_it:Base", "--store", "b.db")["type"] == "NotFound"


def test_commands_of_other_packages_are_listed_after_ours() -> None:
    found = CliRunner().invoke(app, ["--help"]).stdout
    assert found.index(" replay ") < found.index(" rows ")
    assert "Rows of an application beside the documents" in found


def test_a_command_that_cannot_be_loaded_is_told_and_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lichen_adapters.rows_command", None)
    assert others.Commands().get_command(None, "fly") is None
    found = CliRunner().invoke(app, ["--help"])
    assert found.exit_code == 0
    assert "the command rows cannot be loaded" in found.output
    assert CliRunner().invoke(app, ["rows", "check"]).exit_code == 2


def test_a_store_in_postgresql_is_checked_and_missing_triggers_are_named(notes: Path, postgres_url: str) -> None:
    names: dict[str, Any] = {"__name__": "models_of_it"}
    exec(compile(MODELS, "models_of_it", "exec", dont_inherit=True), names)

    async def write() -> None:
        async with Engine.open(postgres_url, passphrase="right", clear_rows=True) as engine:
            sessions = Sessions(engine, names["Base"])
            sessions.prepare()
            sessions.close()
            drop = "DROP TRIGGER lichen_journal_delete ON note"
            engine.store.write(lambda conn: conn.exec_driver_sql(drop).rowcount).result(9)

    asyncio.run(write())
    command = ("rows", "check", "models_of_it:Base", "--store", postgres_url)
    found = json.loads(lichen(notes, *command).stdout)
    assert found["schema"] == ["triggers of table note are missing, disabled, or not as declared"]
    assert done(notes, *command, "--repair")["ok"]
    assert done(notes, *command)["schema"] == []


def test_a_store_without_a_passphrase_is_checked_without(notes: Path) -> None:
    async def make() -> None:
        async with Engine.open(f"sqlite:///{notes}/open.db") as engine:
            await engine.create_space("Family")

    asyncio.run(make())
    checked = ("rows", "check", "models_of_it:Base", "--store", "open.db")
    found = lichen(notes, *checked, passphrase=None)
    assert json.loads(found.stdout)["schema"] == ["table note is missing"]
    assert refused(notes, *checked)["type"] == "WrongPassphrase"
