"""Rows of one space, where a device has several.

::

    live(sessions, select(Note).where(in_space(Note, space)).order_by(Note.title))
"""

from __future__ import annotations

from typing import Any

from lichen.ids import SpaceId
from lichen.store.schema import documents
from sqlalchemy import Boolean, ColumnElement, LargeBinary, Table, bindparam, inspect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.spaces import HandleOfSpace, id_of
from lichen_adapters.orm.synced import OWNER, SYNCED


class _InSpace(FunctionElement[bool]):
    """The key of a row, and the space in which its document has to be. A row's document changes its space never."""

    type = Boolean()
    inherit_cache = True
    name = "lichen_in_space"


def in_space(cls: Any, space: HandleOfSpace | SpaceId) -> ColumnElement[bool]:
    """A condition for `where`: the row of `cls`, a synced class or an alias of one, is in this space.

    Rows of parts are where their owners are: ask of those. What was not committed yet is in no space. Raises
    `SessionMisuse` for other classes.
    """
    found = inspect(cls, raiseerr=False)
    table = None if found is None else found.mapper.base_mapper.local_table
    if not isinstance(table, Table) or SYNCED not in table.info or OWNER in table.info:
        raise SessionMisuse(
            f"rows of {cls!r} are no documents of a space",
            hint="name a synced class; of parts that of their owners, which the statement joins",
        )
    return _InSpace(cls.id, bindparam(None, bytes(id_of(space)), LargeBinary()))


@compiles(_InSpace, "sqlite")
def _for_sqlite(element: _InSpace, compiler: SQLCompiler, **options: Any) -> str:
    return _exists("unhex", element, compiler, options)


@compiles(_InSpace, "postgresql")
def _for_postgres(element: _InSpace, compiler: SQLCompiler, **options: Any) -> str:
    return _exists("uuid_send", element, compiler, options)


def _exists(as_bytes: str, element: _InSpace, compiler: SQLCompiler, options: dict[str, Any]) -> str:
    key, space = (compiler.process(one, **options) for one in element.clauses)
    where = f"{documents.name}.doc = {as_bytes}({key}) AND {documents.name}.space = {space}"
    return f"(EXISTS (SELECT 1 FROM {documents.name} WHERE {where}))"


@compiles(_InSpace)
def _for_people(element: _InSpace, compiler: SQLCompiler, **options: Any) -> str:
    """As a function that no database has: statements are shown so, and those for others than these fail."""
    return compiler.visit_function(element, **options)  # type: ignore[arg-type]  # it asks for no more than this has
