"""The unique keys of rows that are to be adopted, beside those of the rows that the space has."""

from __future__ import annotations

import uuid

from lichen.ids import SpaceId
from sqlalchemy import Connection, select

from lichen_adapters.orm.claims import Key, keys_of
from lichen_adapters.orm.errors import AdoptionError
from lichen_adapters.orm.old_tables import Old, OldTable
from lichen_adapters.orm.sessions import Sessions
from lichen_adapters.orm.unique_keys import SPACE


class Keys:
    """The unique keys of one table, but for those with columns that get new values."""

    def __init__(self, sessions: Sessions, conn: Connection, space: SpaceId, old: OldTable) -> None:
        self._old = old
        planned = old.planned
        self._names = tuple(
            names
            for names in (() if planned is None else planned.unique)
            if all(name in old.columns and old.target(name) not in sessions.plan.tables for name in names)
        )
        self.alike: dict[str, uuid.UUID | str] = {}
        """The old keys of rows for which others stand: those of a class with `clash="join"`, by the id of one that is
        here, or the old key of one that is not yet."""
        self._has: dict[Key, uuid.UUID | str] = {}
        if planned is None or not self._names:
            return
        c = planned.table.c
        query = select(c.id, *(c[name] for name in sorted(planned.claiming))).where(c[SPACE] == space)
        for row in conn.execute(query).mappings():
            self._has |= dict.fromkeys(keys_of(planned, row), row["id"])
        for held, claim in sessions.projector.held.claims(conn, planned).items():
            self._has |= dict.fromkeys(claim.keys if claim.space == space else (), held)

    def add(self, row: Old, noted: uuid.UUID | None) -> None:
        """A row of the old table, with its new id if it has one. Raises `AdoptionError` where its key is another's."""
        key = self._old.key_of(row)
        for names in self._names:
            values = tuple(row[name] for name in names)
            one = key if None in values else self._has.setdefault((names, values), noted or key)
            if one in (key, noted):
                continue
            if self._old.planned is None or not self._old.planned.joins or noted is not None:
                what = ", ".join(f"{name} {value!r}" for name, value in zip(names, values, strict=True))
                raise AdoptionError(
                    f"row {key} of {self._old.table.name} has the {what} of "
                    + (f"row {one} of the old database" if isinstance(one, str) else f"row {one}, which is here"),
                    hint="give one of them another value, or take it out",
                )
            self.alike[key] = one
