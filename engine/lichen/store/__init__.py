"""Storage through SQLAlchemy: the database, its schema and migrations, and its rows."""

from lichen.store.database import Store as Store

__all__ = ["Store"]
