"""Statements in plain SQL that would part rows and documents are refused."""

from __future__ import annotations

import pytest
from lichen_adapters.orm import SessionMisuse
from orm_devices import SPACE, Device
from orm_models import User
from sqlalchemy import select, text, update


def names(device: Device) -> list[str]:
    with device.sessions() as session:
        return list(session.scalars(select(User.name).order_by(User.name)))


@pytest.mark.parametrize(
    "statement",
    [
        *("COMMIT", " end;", "/* now */ ROLLBACK", "-- now\nbegin", "Abort", "START TRANSACTION", "ROLLBACK WORK"),
        *(";commit", " ;/**/; END", "\ufeffCOMMIT"),
    ],
)
def test_a_statement_that_ends_a_transaction_is_refused_and_one_that_takes_back_a_part_is_not(
    device: Device, statement: str
) -> None:
    with device.sessions(SPACE) as session:
        session.add(User(name="ann"))
        session.flush()
        for execute in (session.execute, session.connection().execute):
            with pytest.raises(SessionMisuse, match="begin or end the transaction"):
                execute(text(statement))
        session.execute(text("SAVEPOINT mine"))
        session.execute(update(User).values(name="eve"))
        session.execute(text("ROLLBACK TO SAVEPOINT mine"))
        session.commit()
    assert names(device) == ["ann"]
    device.check()


def test_a_statement_that_holds_others_or_changes_the_connection_is_refused(device: Device) -> None:
    with device.sessions(SPACE) as session:
        session.add(User(name="ann"))
        session.flush()
        if device.server is None:
            for setting in (
                *("recursive_triggers = OFF", " main.query_only(1)", "/* */recursive_triggers=0", '"query_only"=1'),
                *("[main] . 'query_only' --\n=1", "schema_version = 1", "cipher_page_size = 512", "`key` = 'x'"),
            ):
                for statement in (f"pragma {setting}", f";explain query plan pragma {setting}"):
                    with pytest.raises(SessionMisuse, match="how the engine's connections work: "):
                        session.execute(text(statement))
            assert session.scalar(text("PRAGMA recursive_triggers")) == 1
        else:
            for statement in (
                *("SELECT 1; COMMIT", "DELETE FROM user_account;\n-- ;\nEND;", "SELECT 'a''';END"),
                *(r"SELECT E'a\''; COMMIT; SELECT '1'", "SELECT 1 AS a$b$; COMMIT; SELECT 1 AS a$b$"),
                "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE SQL BEGIN ATOMIC SELECT 1; END; COMMIT",
            ):
                for given in ({}, {"no_parameters": True}):
                    with pytest.raises(SessionMisuse, match="several statements were given"), session.begin_nested():
                        session.connection().exec_driver_sql(statement, execution_options=given)
            session.connection().exec_driver_sql("SELECT '%;'", execution_options={"no_parameters": True})
            for what in ("TRIGGER ALL", "TRIGGER USER", "TRIGGER lichen_journal_update"):
                with pytest.raises(SessionMisuse, match="keep triggers from firing"):
                    session.execute(text(f"ALTER TABLE user_account DISABLE {what}"))
            function = "CREATE FUNCTION pg_temp.one() RETURNS int LANGUAGE SQL BEGIN ATOMIC SELECT 1; SELECT 2; END"
            for statement in (
                "SELECT 'a;b'; ",
                'SELECT 1 AS ";"; -- ; \n',
                "SELECT $a$;$$;$a$;",
                r"SELECT E'\';'",
                function,
            ):
                session.execute(text(statement))
        session.rollback()
    assert names(device) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("setting", ["optimize", "main.user_version (7)", "application_id(7)", "incremental_vacuum(1)"])
def test_a_pragma_that_writes_takes_its_turn(device: Device, setting: str) -> None:
    with device.sessions() as session:
        session.execute(text(f"PRAGMA {setting}"))
        session.commit()
    with device.sessions() as session:
        assert session.scalar(text("PRAGMA user_version")) == (7 if "user_version" in setting else 0)
