"""Alembic runs this. The connection is given by `lichen.store.migrate`, which also begins and ends the transaction."""

from __future__ import annotations

from alembic import context
from lichen.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="lichen_version",
    transactional_ddl=False,
    render_as_batch=True,
)
context.run_migrations()
