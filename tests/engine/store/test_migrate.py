"""The schema: migrations from nothing make exactly what the tables say, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlcipher3.dbapi2 as sqlcipher
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from lichen.errors import StoreDamaged, StoreFull
from lichen.store import Store, sqlite_file
from lichen.store.failure import failure_of
from lichen.store.migrate import FOLDER, REVISION, migrate, upgrade
from lichen.store.schema import metadata
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

KEY = bytes(range(32))


@pytest.fixture
def conn(path: Path) -> Iterator[Connection]:
    """An empty database."""
    engine = sqlite_file._engine(path, KEY, "process")
    with engine.connect() as conn:
        yield conn


def schema(conn: Connection) -> dict[str, str]:
    """The statements that made the database, by name."""
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    return {name: " ".join(sql.split()) for name, sql in conn.exec_driver_sql(query).all()}


def indexes(conn: Connection) -> list[tuple[str, str]]:
    """Table and name of each index, in the order in which they were made within their table."""
    query = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY tbl_name, rowid"
    return [(table, name) for table, name in conn.exec_driver_sql(query).all()]


def by_scripts(conn: Connection) -> None:
    """Run the migrations, which a new database does not need."""
    upgrade(conn, None)


def test_the_migrations_make_what_the_tables_say(conn: Connection) -> None:
    by_scripts(conn)
    context = MigrationContext.configure(
        conn, opts={"compare_type": True, "compare_server_default": True, "version_table": "lichen_version"}
    )
    assert compare_metadata(context, metadata) == []


def test_a_new_database_is_what_the_migrations_make_statement_by_statement(conn: Connection, tmp_path: Path) -> None:
    """Alembic's comparison does not see partial indexes and AUTOINCREMENT."""
    by_scripts(conn)
    with sqlite_file._engine(tmp_path / "other.db", KEY, "process").connect() as other:
        migrate(other)
        assert schema(conn) == schema(other)
        assert indexes(conn) == indexes(other) == sorted(indexes(conn))
        revisions = [each.exec_driver_sql("SELECT * FROM lichen_version").all() for each in (conn, other)]
    assert revisions[0] == revisions[1] == [(REVISION,)]
    assert "AUTOINCREMENT" in schema(conn)["lichen_change_sets"]
    assert "WHERE session IS NOT NULL" in schema(conn)["ix_lichen_changes_unsealed"]


def test_the_revision_in_the_code_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_migrating_again_does_nothing(conn: Connection) -> None:
    migrate(conn)
    before = conn.exec_driver_sql("PRAGMA data_version").scalar_one(), schema(conn)
    migrate(conn)
    assert (conn.exec_driver_sql("PRAGMA data_version").scalar_one(), schema(conn)) == before


def test_the_schema_of_a_newer_version_is_refused_and_kept(path: Path, opened: Callable[..., Store]) -> None:
    store = opened()
    store.write(lambda conn: conn.exec_driver_sql("UPDATE lichen_version SET version_num = '9999'")).result()
    store.close()
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match="schema 9999") as raised:
        opened()
    assert "newer" in raised.value.hint
    assert path.read_bytes() == before


def test_an_encrypted_database_of_something_else_is_refused(path: Path, opened: Callable[..., Store]) -> None:
    other = sqlcipher.connect(str(path))
    other.execute(f"PRAGMA key = \"x'{KEY.hex()}'\"")
    other.execute("CREATE TABLE tunes (name)")
    other.close()
    with pytest.raises(StoreDamaged, match="no store"):
        opened()


@pytest.mark.parametrize("bring", [migrate, by_scripts])
def test_a_migration_that_fails_leaves_nothing(
    path: Path, conn: Connection, opened: Callable[..., Store], bring: Callable[[Connection], None]
) -> None:
    conn.exec_driver_sql("PRAGMA max_page_count = 12")
    with pytest.raises(DBAPIError) as raised:
        bring(conn)
    assert isinstance(failure_of(raised.value, path).error, StoreFull)
    conn.close()
    with sqlite_file._engine(path, KEY, "process").connect() as after:
        assert after.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one() == 0
    opened().close()


def test_a_new_revision_can_be_drafted_from_the_template(tmp_path: Path, conn: Connection) -> None:
    migrate(conn)
    folder = tmp_path / "migrations"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["connection"] = conn
    made = command.revision(config, "second", rev_id="0002", autogenerate=True)
    assert made is not None
    assert not isinstance(made, list)
    source = Path(made.path).read_text()
    compile(source, made.path, "exec")
    assert "down_revision = '0001'" in source
    assert source.rstrip().endswith("pass\n    # ### end Alembic commands ###")
