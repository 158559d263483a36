"""Bringing a database's schema to this version, with Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from lichen.errors import StoreDamaged

FOLDER = Path(__file__).parent / "migrations"


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def migrate(conn: Connection) -> None:
    """Run every migration that this database lacks, in one transaction.

    Raises `StoreDamaged` for a schema that a newer version made.
    """
    scripts = _scripts()
    head = scripts.get_current_head()
    current = MigrationContext.configure(conn).get_current_revision()
    if current == head:
        return
    try:
        steps = list(scripts.iterate_revisions(head, current))
    except CommandError as error:
        raise StoreDamaged(
            f"the store has schema {current}, which this version does not know", hint="install a newer lichen"
        ) from error
    if current is not None and not steps:
        raise StoreDamaged(f"the store has schema {current}, which this version does not know")
    environment = EnvironmentContext(
        Config(), scripts, fn=lambda rev, _context: scripts._upgrade_revs(head or "head", rev), destination_rev=head
    )
    conn.exec_driver_sql("BEGIN IMMEDIATE")
    environment.configure(connection=conn, transactional_ddl=False, transaction_per_migration=False)
    environment.run_migrations()
    conn.exec_driver_sql("COMMIT")
