"""Alembic loads this; migrations are run by `lichen.store.migrate`, never from the command line."""
