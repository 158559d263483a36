"""Bringing a database's schema to this version, with Alembic.

Alembic is loaded only for a database that is not at this version: that takes longer than all else at a start.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, select
from sqlalchemy.sql import column, table

from lichen.errors import StoreDamaged

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent / "migrations"
REVISION = "0001"
"""The newest revision in `migrations/versions`."""

_VERSION = table("lichen_version", column("version_num"))


def config(conn: Connection) -> Config:
    """What Alembic needs to know; `migrations/env.py` uses the connection."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.attributes["connection"] = conn
    return made


def migrate(conn: Connection) -> None:
    """Run every migration that this database lacks, all of them in one transaction.

    Raises `StoreDamaged` for the schema of a newer version, and for a database that is no store.
    """
    found = _revision(conn)
    if found == REVISION:
        return
    from alembic import command
    from alembic.script import ScriptDirectory

    settings = config(conn)
    known = {script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()}
    if found is not None and found not in known:
        raise StoreDamaged(
            f"the store has schema {found}, which this version of lichen does not know", hint="install a newer lichen"
        )
    conn.exec_driver_sql("BEGIN IMMEDIATE")
    command.upgrade(settings, REVISION)
    conn.exec_driver_sql("COMMIT")


def _revision(conn: Connection) -> str | None:
    """The schema's revision; None for an empty database."""
    tables = inspect(conn).get_table_names()
    if not tables:
        return None
    if _VERSION.name not in tables:
        raise StoreDamaged("this database holds other tables: it is no store", hint="name another file")
    return str(conn.execute(select(_VERSION.c.version_num)).scalar_one())
