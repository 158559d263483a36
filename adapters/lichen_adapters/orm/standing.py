"""Rows that have their unique keys, where several devices gave one to several.

::

    class Person(Synced, Base):
        __tablename__ = "person"
        passport: Mapped[Passport | None] = relationship(
            primaryjoin=lambda: and_(Passport.person_id == Person.id, standing(Passport))
        )
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, and_, inspect
from sqlalchemy.orm.util import AliasedInsp

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.unique_keys import CLASH


def standing(cls: Any) -> ColumnElement[bool]:  # Any: a class or an alias, which have no type in common
    """A condition: the row of `cls`, a synced class with unique keys or an alias of one, stands back for no other.

    Raises `SessionMisuse` for other classes.
    """
    found: Any = inspect(cls, raiseerr=False)
    tables = [] if found is None else [one for one in found.mapper.tables if isinstance(one, Table) and CLASH in one.c]
    if not tables:
        raise SessionMisuse(
            f"{cls!r} has no unique keys, for which rows could stand back", hint="name a synced class with one"
        )
    flags = [one.c[CLASH] for one in tables]
    if isinstance(found, AliasedInsp):
        flags = [found.selectable.corresponding_column(flag) for flag in flags]
    return and_(*(~flag for flag in flags))
