"""Tables of many-to-many relationships whose rows are synced."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.orm import registry

from lichen_adapters.orm import tables
from lichen_adapters.orm.errors import MappingError
from lichen_adapters.orm.synced import OTHER, OWNER, SYNCED

LOCAL = "lichen.local"
"""What marks the table of an association as one that stays on the device, in `Table.info`."""


def synced_association(table: Table, *, owner: str) -> Table:
    """Make the rows of a plain table, the `secondary` of a many-to-many relationship, synced; returns the table.

    ::

        note_tag = synced_association(
            Table(
                "note_tag",
                Base.metadata,
                Column("note_id", ForeignKey("note.id", ondelete="CASCADE"), primary_key=True),
                Column("tag_id", ForeignKey("tag.id"), primary_key=True),
            ),
            owner="note_id",
        )

    They lie in the document of the row at which the column `owner` points. Of concurrent additions and removals of one
    row, an addition wins. The other end may be a document that is not here yet, so that its key has no constraint.
    Raises `MappingError` for a table of anything but two foreign keys that are its primary key.
    """
    tables.check(table)
    columns = list(table.columns)
    if any(len(column.foreign_keys) != 1 for column in columns) or len(columns) != 2:
        raise MappingError(
            f"the association {table.name} has other columns than two foreign keys",
            hint="map it to a synced class that is part of its owner, with the columns that it has",
        )
    if {*table.primary_key.columns} != {*columns}:
        raise MappingError(
            f"the columns of the association {table.name} are not its primary key",
            hint="give both primary_key=True: a pair is there or not, never twice",
        )
    if owner not in table.columns:
        raise MappingError(
            f"owner={owner!r} is no column of the association {table.name}",
            hint=f"it is {' or '.join(column.name for column in columns)}",
        )
    (other,) = (column for column in columns if column.name != owner)
    table.info.update({SYNCED: table.name, OWNER: owner, OTHER: other.name})
    _without_constraint(table, other)
    return table


def local_association(table: Table) -> Table:
    """Say of a plain table, the `secondary` of a relationship between synced classes, that it stays on the device."""
    table.info[LOCAL] = True
    return table


def refuse_undeclared(classes: registry) -> None:
    """Raises `MappingError` for a relationship of synced classes whose `secondary` is neither synced nor local."""
    for mapper in classes.mappers:
        for relationship in mapper.relationships:
            secondary = relationship.secondary
            if not isinstance(secondary, Table) or relationship.viewonly or {SYNCED, LOCAL} & secondary.info.keys():
                continue
            ends = mapper.base_mapper.local_table, relationship.mapper.base_mapper.local_table
            if all(isinstance(one, Table) and SYNCED in one.info for one in ends):
                name = secondary.name
                raise MappingError(
                    f"the rows of {name}, which {relationship} writes, would never leave this device",
                    hint=f"say by `synced_association({name}, owner=...)` which column points at the row in whose"
                    f" document pairs lie, or by `local_association({name})` that they stay here",
                )


def _without_constraint(table: Table, other: Column[Any]) -> None:
    """The other end may be a document that is not here."""
    for constraint in table.foreign_key_constraints:
        if other.name in constraint.column_keys:
            constraint.ddl_if(callable_=lambda *_, **__: False)
