"""The mixin that makes a declarative class synced, and what is checked when such a class is made."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Literal

from sqlalchemy import JSON, Column, Connection, Table, Uuid, event
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.exc import NoReferenceError
from sqlalchemy.orm import Mapped, MappedAsDataclass, Mapper, mapped_column, object_session
from sqlalchemy.types import NullType

from lichen_adapters.orm import search_index, tables, unique_keys
from lichen_adapters.orm.columns import CLASSES, KIND, Kind
from lichen_adapters.orm.errors import MappingError, SessionMisuse
from lichen_adapters.orm.merging import SyncedColumn, kind_of

DocId = uuid.UUID
"""The id of a document, and of a row that is one or lies in one."""

OWNER = "lichen.owner"
"""Where a table has the column that points at the row in whose document its rows lie, in `Table.info`."""
OTHER = "lichen.other"
"""Where the table of an association has the column that points at the other end, in `Table.info`."""
SYNCED = "lichen.synced"
"""What marks a table as synced, in `Table.info`."""
REPAIR = "lichen.repair"
"""Where a table has the mapper of its class and what that puts rows right with, in `Table.info`."""
NEW_ID = "lichen.new_id"
"""Where a connection of ours has what makes ids, in `Connection.info`."""
SESSIONS = "lichen.sessions"
"""Where a session has what made it, in `Session.info`."""

Repair = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Given all synced attributes of a row as its document has them, None where one does not fit: those to be changed."""


def _new_id(context: DefaultExecutionContext) -> DocId:
    """The id of a new row: made on a connection of ours, which knows the space."""
    table = unique_keys.table_of(context)
    _refuse_strangers(context.root_connection, table.name)
    return context.root_connection.info[NEW_ID](table)  # type: ignore[no-any-return]  # it holds anything


def makes_id(key: Column[Any]) -> bool:
    """Whether a column gets the ids of new rows from the engine."""
    return getattr(key.default, "arg", None) is _new_id


def _refuse_strangers(conn: Connection, table: str) -> None:
    if NEW_ID not in conn.info:
        raise _is_stranger(table)


def _is_stranger(table: str) -> SessionMisuse:
    return SessionMisuse(
        f"the synced table {table} was to be written through a session that is not the engine's",
        hint="make each session by calling what `Sessions(engine, Base)` makes",
    )


class Synced:
    """Makes the rows of a declarative class documents: `class Note(Synced, Base)`.

    Each row is a document of its own, or with `part_of`, the name of the attribute that points at its owner
    (`class Address(Synced, Base, part_of="user_id")`), lies in its owner's. The id is the mixin's, and made when the
    row is flushed. Of rows to which several devices give one unique key, one stands and the others are flagged; with
    `clash="join"` they are one row instead (`class Tag(Synced, Base, clash="join")`). Raises `MappingError` when the
    class is made, for what cannot be synced.

    `repair` puts rows right that merged into what the database does not take, which are held otherwise: it gets the
    attributes of a row, and returns those that are to be others, but for those of unique keys. It must be a function of
    what it gets, and have another name when it comes to decide otherwise.
    """

    __lichen_part_of__: ClassVar[str | None] = None
    __lichen_clash__: ClassVar[Literal["flag", "join"]] = "flag"
    __lichen_repair__: ClassVar[Repair | None] = None

    id: Mapped[DocId] = mapped_column(Uuid(), primary_key=True, default=_new_id, sort_order=-100)

    def __init_subclass__(
        cls,
        *,
        part_of: str | None = None,
        clash: Literal["flag", "join"] | None = None,
        repair: Repair | None = None,
        **options: Any,
    ) -> None:
        if part_of is not None:
            cls.__lichen_part_of__ = part_of
        if clash not in (None, "flag", "join"):
            raise MappingError(
                f'clash={clash!r} of {cls.__name__} is neither "flag" nor "join"', hint="leave it out for the first"
            )
        if clash is not None:
            cls.__lichen_clash__ = clash
        if repair is not None:
            if not callable(repair):
                raise MappingError(f"repair={repair!r} of {cls.__name__} is no function", hint="see `Synced`")
            cls.__lichen_repair__ = staticmethod(repair)
        super().__init_subclass__(**options)


class SyncedDataclass(MappedAsDataclass, Synced):
    """As `Synced`, for classes that are dataclasses: `class Note(SyncedDataclass, Base)`. The id is no argument."""

    id: Mapped[DocId] = mapped_column(Uuid(), primary_key=True, insert_default=_new_id, init=False, sort_order=-100)


@event.listens_for(Synced, "after_mapper_constructed", propagate=True)
def _check(mapper: Mapper[Any], cls: type[Synced]) -> None:
    table = mapper.local_table
    base = mapper.inherits
    if not isinstance(table, Table) or mapper.concrete:
        raise MappingError(
            f"{cls.__name__} is not mapped to a plain table, or by concrete inheritance",
            hint="let an abstract class or a mixin have what several tables share",
        )
    tables.check(table)
    if base is not None and "__lichen_part_of__" in vars(cls):
        raise MappingError(
            f"rows of {cls.__name__} lie where those of its base do, so that it takes no part_of",
            hint="say part_of in the base, or nowhere",
        )
    inherited = base is not None and base.local_table is table
    joined = base is not None and not inherited
    if not inherited:
        _check_key(table, cls.__name__, joined=joined)
    _check_columns(table)
    _load_before_assignment(mapper)
    if isinstance(mapper.polymorphic_on, Column):
        mapper.polymorphic_on.info[CLASSES] = mapper.polymorphic_map
    search_index.declare(table)
    if any(constraint.initially for constraint in table.foreign_key_constraints):
        raise MappingError(
            f"{cls.__name__} has a deferred foreign key, which could only fail with everything merged",
            hint="leave out initially and deferrable",
        )
    join = cls.__lichen_clash__ == "join" and base is None
    if join and cls.__lichen_part_of__ is not None:
        raise MappingError(
            f"rows of {cls.__name__} are parts, which cannot be joined: only documents can",
            hint='leave out clash="join", or part_of',
        )
    unique_keys.claim(table, inherited=inherited, join=join)
    if not inherited:
        table.info[SYNCED] = cls.__name__
    check_references(mapper)
    _declare_repair(mapper, table, cls, inherited=inherited)
    if joined:
        table.info[OWNER] = "id"
    elif not inherited and cls.__lichen_part_of__ is not None:
        table.info[OWNER] = _owner(mapper, table, cls.__lichen_part_of__)
    for constraint in table.foreign_key_constraints:
        if [column.name for column in constraint.columns] != [table.info.get(OWNER)]:
            constraint.ddl_if(callable_=_leads_to_no_document)


def _declare_repair(mapper: Mapper[Any], table: Table, cls: type[Synced], *, inherited: bool) -> None:
    if "__lichen_repair__" not in vars(cls):
        return
    if inherited:
        raise MappingError(f"{cls.__name__}, in the table of its base, has a repair", hint="declare it in the base")
    table.info[REPAIR] = mapper, cls.__lichen_repair__


def name_of(repair: Repair) -> str:
    """What tells one function from another."""
    return f"{repair.__module__}.{getattr(repair, '__qualname__', type(repair).__qualname__)}"


def _check_key(table: Table, name: str, *, joined: bool) -> None:
    keys = [column.name for column in table.primary_key]
    key = table.c.get("id")
    made = key is not None and (len(key.foreign_keys) == 1 if joined else makes_id(key))
    if keys != ["id"] or key is None or not isinstance(key.type, Uuid) or not made:
        hint = "remove its own primary key: two devices would give the same numbers to different rows"
        if joined:
            hint = "its table needs the key of its base: `id: Mapped[DocId]` with a foreign key to the base's id"
        raise MappingError(
            f"the key of the synced class {name} is {', '.join(keys)}, not the `id` of the mixin", hint=hint
        )


def check_references(mapper: Mapper[Any]) -> None:
    """Raises `MappingError` for what points at the id of a synced class, as far as known, and is said to hold no ids.

    SQLAlchemy gives such a column the type of its target, whatever the annotation says.
    """
    for name, column in mapper.columns.items():
        said = {*re.findall(r"\w+", str(_annotation(mapper.class_, name)))}
        if isinstance(column, Column) and _points_at_document(column):
            typed = isinstance(column.type, NullType | Uuid)
            if not typed or said & {"int", "str", "float", "bytes"}:
                raise MappingError(
                    f"{mapper.class_.__name__}.{name} points at the id of a synced class, and is declared otherwise",
                    hint="annotate it with `Mapped[DocId]`, or `Mapped[DocId | None]`, and leave out the type",
                )


def _points_at_document(column: Column[Any]) -> bool:
    for key in column.foreign_keys:
        with suppress(NoReferenceError):  # that table comes later
            return SYNCED in key.column.table.info and key.column.name == "id"
    return False


def _annotation(cls: type[Any], name: str) -> object:
    found = (vars(base).get("__annotations__", {}).get(name) for base in cls.__mro__)
    return next((one for one in found if one is not None), None)


def _check_columns(table: Table) -> None:
    for column in table.columns:
        if column.name.startswith("@"):
            raise MappingError(
                f"column {column} begins with @, which stands for what is not a column in documents",
                hint="give it another name",
            )
        if column.key != column.name:
            raise MappingError(
                f"column {column} has another key than its name in the database",
                hint="give the attribute of the class another name, and no `key` to the column",
            )
        if column.system:
            raise MappingError(
                f"column {column} is one that the server keeps for itself, and no merge could write it",
                hint="leave it out; let version_id_col be a column of the table",
            )
        if isinstance(column.type, JSON) and column.nullable:
            _null_as_null(column.type)
        if column.identity is not None and column.identity.always and column.info.get(KIND) is not Kind.LOCAL:
            raise MappingError(
                f"column {column} is an identity that the database always gives, so that no merge could write it",
                hint="use Identity(always=False), or local_column(); each device counts for itself in either case",
            )
        unknown = column.foreign_keys and isinstance(column.type, NullType)  # it will have its target's type
        if column is not table.c.id and not unknown and column.computed is None:
            SyncedColumn.of(column)


def _null_as_null(data: JSON) -> None:
    """Have None be NULL in the database, on every device: SQLAlchemy knows the null of JSON too, documents only one."""
    for one in (data, *data._variant_mapping.values()):  # noqa: SLF001  # types for other databases
        if isinstance(one, JSON):
            one.none_as_null = True


def _load_before_assignment(mapper: Mapper[Any]) -> None:
    """Have what an assignment replaces loaded, where it is JSON: a flush must know it."""
    for column in mapper.columns:
        if isinstance(column, Column) and kind_of(column) is Kind.JSON:
            attribute: Any = mapper.get_property_by_column(column)
            attribute.active_history = True


@event.listens_for(Synced, "before_insert", propagate=True)
@event.listens_for(Synced, "before_update", propagate=True)
@event.listens_for(Synced, "before_delete", propagate=True)
def _before_write(mapper: Mapper[Any], conn: Connection, target: Synced) -> None:
    _refuse_strangers(conn, str(mapper.local_table))
    session = object_session(target)
    if session is not None and SESSIONS not in session.info:  # it would write over what was merged meanwhile
        raise _is_stranger(str(mapper.local_table))


def _owner(mapper: Mapper[Any], table: Table, name: str) -> str:
    """The name in the database of the column that an attribute of a class stands for."""
    column: Column[Any] | None = table.columns.get(name, mapper.columns.get(name))
    keys = [] if column is None else [len(one.constraint.columns) for one in column.foreign_keys if one.constraint]
    if column is None or keys != [1] or column.info.get(KIND) is Kind.LOCAL:
        raise MappingError(
            f"part_of={name!r} of table {table.name} is no column with a foreign key of its own",
            hint="name the column that points at the id of the owner, by itself",
        )
    return column.name


def _leads_to_no_document(ddl: object, target: Any, *_: Any, **__: Any) -> bool:
    """Whether a foreign key has DDL: the target may be a document that is not here, so that a row points at nothing."""
    return not any(SYNCED in element.column.table.info for element in target.elements)
