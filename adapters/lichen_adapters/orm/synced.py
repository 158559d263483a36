"""The mixin that makes a declarative class synced, and what is checked when such a class is made."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from sqlalchemy import Column, Connection, Table, Uuid, event
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, Mapper, mapped_column
from sqlalchemy.types import NullType

from lichen_adapters.orm import unique_keys
from lichen_adapters.orm.columns import KIND, Kind
from lichen_adapters.orm.errors import MappingError, SessionMisuse
from lichen_adapters.orm.merging import SyncedColumn

DocId = uuid.UUID
"""The id of a document, and of a row that is one or lies in one."""

OWNER = "lichen.owner"
"""Where a table has the column that points at the row in whose document its rows lie, in `Table.info`."""
OTHER = "lichen.other"
"""Where the table of an association has the column that points at the other end, in `Table.info`."""
SYNCED = "lichen.synced"
"""What marks a table as synced, in `Table.info`."""
NEW_ID = "lichen.new_id"
"""Where a connection of ours has what makes ids, in `Connection.info`."""


def _new_id(context: DefaultExecutionContext) -> DocId:
    """The id of a new row: made on a connection of ours, which knows the space."""
    table: Table = context.compiled.statement.table  # type: ignore[union-attr]  # an insert has been compiled
    _refuse_strangers(context.root_connection, table.name)
    return context.root_connection.info[NEW_ID](table)  # type: ignore[no-any-return]  # it holds anything


def _refuse_strangers(conn: Connection, table: str) -> None:
    if NEW_ID not in conn.info:
        raise SessionMisuse(
            f"the synced table {table} was to be written through a session that is not the engine's",
            hint="make sessions with `Sessions(engine, Base)`",
        )


class Synced:
    """Makes the rows of a declarative class documents: `class Note(Synced, Base)`.

    Each row is a document of its own, or with `part_of`, the name of the column that points at its owner
    (`class Address(Synced, Base, part_of="user_id")`), lies in its owner's. The id is the mixin's, and made when the
    row is flushed. Raises `MappingError` when the class is made, for what cannot be synced.
    """

    __lichen_part_of__: ClassVar[str | None] = None

    id: Mapped[DocId] = mapped_column(Uuid(), primary_key=True, default=_new_id, sort_order=-100)

    def __init_subclass__(cls, *, part_of: str | None = None, **options: Any) -> None:
        if part_of is not None:
            cls.__lichen_part_of__ = part_of
        super().__init_subclass__(**options)


@event.listens_for(Synced, "after_mapper_constructed", propagate=True)
def _check(mapper: Mapper[Any], cls: type[Synced]) -> None:
    table = mapper.local_table
    if not isinstance(table, Table) or mapper.inherits is not None:
        raise MappingError(f"{cls.__name__} has no table of its own, which a synced class needs")
    keys = [column.name for column in table.primary_key]
    if keys != ["id"] or not isinstance(table.c.id.type, Uuid) or table.c.id.default is None:
        raise MappingError(
            f"the key of the synced class {cls.__name__} is {', '.join(keys)}, not the `id` of the mixin",
            hint="remove its own primary key: two devices would give the same numbers to different rows",
        )
    for column in table.columns:
        if column.name.startswith("@"):
            raise MappingError(f"column {column} begins with @, which stands for what is not a column in documents")
        unknown = column.foreign_keys and isinstance(column.type, NullType)  # it will have its target's type
        if column is not table.c.id and not unknown:
            SyncedColumn.of(column)
    if any(constraint.initially for constraint in table.foreign_key_constraints):
        raise MappingError(f"{cls.__name__} has a deferred foreign key, which could only fail with everything merged")
    table.info[SYNCED] = cls.__name__
    unique_keys.claim(table)
    if cls.__lichen_part_of__ is not None:
        table.info[OWNER] = _owner(table, cls.__lichen_part_of__)
    for constraint in table.foreign_key_constraints:
        if [column.name for column in constraint.columns] != [table.info.get(OWNER)]:
            constraint.ddl_if(callable_=_leads_to_no_document)


@event.listens_for(Synced, "before_insert", propagate=True)
@event.listens_for(Synced, "before_update", propagate=True)
@event.listens_for(Synced, "before_delete", propagate=True)
def _before_write(mapper: Mapper[Any], conn: Connection, _target: Synced) -> None:
    _refuse_strangers(conn, str(mapper.local_table))


def _owner(table: Table, name: str) -> str:
    column: Column[Any] | None = table.columns.get(name)
    if column is None or len(column.foreign_keys) != 1 or column.info.get(KIND) is Kind.LOCAL:
        raise MappingError(
            f"part_of={name!r} of table {table.name} is no column with a foreign key",
            hint="name the column that points at the owner",
        )
    return name


def _leads_to_no_document(ddl: object, target: Any, *_: Any, **__: Any) -> bool:
    """Whether a foreign key has DDL: the target may be a document that is not here, so that a row points at nothing."""
    return not any(SYNCED in element.column.table.info for element in target.elements)
