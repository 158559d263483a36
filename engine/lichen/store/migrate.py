"""Bringing a database's schema to this version: a new one in one step, one of an older version with Alembic.

What the one step makes is what all migrations make, statement by statement (`tests/engine/store/test_migrate.py`).
Alembic is loaded only for an older database: that takes longer than all else at a start.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, inspect, select
from sqlalchemy.schema import CreateTable

from lichen.errors import StoreDamaged
from lichen.store.schema import metadata

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent / "migrations"
REVISION = "0001"
"""The newest revision in `migrations/versions`."""

_BEGIN = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN"}

_VERSION = Table(
    "lichen_version",
    MetaData(),
    Column("version_num", String(32), primary_key=True),
    PrimaryKeyConstraint(name="lichen_version_pkc"),
)
"""Alembic's own table."""


def config(conn: Connection) -> Config:
    """What Alembic needs to know; `migrations/env.py` uses the connection."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.attributes["connection"] = conn
    return made


def migrate(conn: Connection) -> None:
    """Bring the schema to this version, in one transaction.

    Raises `StoreDamaged` for the schema of a newer version, and for a database that is no store.
    """
    found = _revision(conn)
    if found is None:
        _make(conn)
    elif found != REVISION:
        upgrade(conn, found)


def _make(conn: Connection) -> None:
    conn.exec_driver_sql(_BEGIN[conn.dialect.name])
    _VERSION.create(conn)
    conn.execute(_VERSION.insert().values(version_num=REVISION))
    for table in metadata.sorted_tables:
        conn.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):  # SQLite's choice follows their order
            index.create(conn)
    conn.exec_driver_sql("COMMIT")


def upgrade(conn: Connection, found: str | None) -> None:
    """Run every migration after the revision that was found (None: all), in one transaction. Raises `StoreDamaged`."""
    from alembic import command
    from alembic.script import ScriptDirectory

    settings = config(conn)
    known = {script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()}
    if found is not None and found not in known:
        raise StoreDamaged(
            f"the store has schema {found}, which this version of lichen does not know", hint="install a newer lichen"
        )
    conn.exec_driver_sql(_BEGIN[conn.dialect.name])
    command.upgrade(settings, REVISION)
    conn.exec_driver_sql("COMMIT")


def _revision(conn: Connection) -> str | None:
    """The schema's revision; None for a new database. On PostgreSQL an application may have been in it before."""
    tables = inspect(conn).get_table_names()
    if not tables or (_VERSION.name not in tables and conn.dialect.name == "postgresql"):
        return None
    if _VERSION.name not in tables:
        raise StoreDamaged("this database holds other tables: it is no store", hint="name another file")
    return str(conn.execute(select(_VERSION.c.version_num)).scalar_one())
