"""Searching the texts of rows, as a `select` like others."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar, overload

from sqlalchemy import (
    BindParameter,
    Column,
    Dialect,
    Float,
    FromClause,
    Select,
    String,
    Table,
    TypeDecorator,
    Uuid,
    and_,
    bindparam,
    column,
    func,
    inspect,
    literal,
    literal_column,
    or_,
    select,
    table,
    union_all,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from lichen_adapters.orm.columns import SEARCH
from lichen_adapters.orm.errors import MappingError
from lichen_adapters.orm.search_index import name_of, searched
from lichen_adapters.orm.search_postgres import vector
from lichen_adapters.orm.search_words import Words, words_of
from lichen_adapters.orm.sql_names import quoted
from lichen_adapters.orm.synced import Synced

EXCERPT_WORDS = 16
"""Most words of an excerpt; of texts that are searched by trigrams as many trigrams."""
TRIGRAM = 3
"""Shorter words have no trigram."""

T = TypeVar("T", bound=Synced)


@overload
def search(cls: type[T], typed: str) -> Select[T]: ...


@overload
def search(cls: type[T], typed: str, *, marks: tuple[str, str]) -> Select[T, str]: ...


def search(cls: type[T], typed: str, *, marks: tuple[str, str] | None = None) -> Select[*tuple[Any, ...]]:
    """The objects whose texts have all the words that somebody typed, the best first: to be executed, or refined.

    Searched are the columns that are `synced_text(search=...)`, of the class and of what it inherits from. Words are
    found in any of them, whatever their case and accents, the last also as the beginning of a longer one; what stands
    in double quotes is found as it stands. What has no words finds nothing. With `marks`, each object comes with an
    excerpt of its text, in which what was found stands between the two.

    Raises `SearchTooLong`, and `MappingError` for a class of which nothing is searched.
    """
    mapper: Mapper[Any] = inspect(cls)
    tables = [one for one in mapper.tables if isinstance(one, Table) and SEARCH in one.info]
    if not tables:
        raise MappingError(f"no text of {cls.__name__} is searched", hint="declare one as synced_text(search=True)")
    words = words_of(typed)
    hits = _all_of([_found(one, words, marks or ("", "")) for one in tables])
    found = select(cls).join(hits, hits.c.id == cls.id).order_by(hits.c.rank, cls.id)
    return found if marks is None else found.add_columns(hits.c.excerpt)


def _all_of(found: list[FromClause]) -> FromClause:
    """The hits in several tables, each row once."""
    if len(found) == 1:
        return found[0]
    every = union_all(*(select(one.c.id, one.c.rank, one.c.excerpt) for one in found)).subquery()
    best = select(every.c.id, func.min(every.c.rank).label("rank"), func.max(every.c.excerpt).label("excerpt"))
    return best.group_by(every.c.id).subquery()


def _found(searched_table: Table, words: Words, marks: tuple[str, str]) -> FromClause:
    trigrams = searched_table.info[SEARCH] == "trigram"
    every = (*words.whole, words.begun) if words.begun else words.whole
    short = [one for one in every if trigrams and len(one) < TRIGRAM]
    kept = words if not trigrams else Words(tuple(one for one in every if one not in short))
    query = bindparam(None, kept, _Query()) if kept != Words(()) or not short else None
    likes = [bindparam(None, f"%{_escaped(one)}%", String()) for one in short]
    hits = Found(searched_table, query, likes, marks)
    return hits.table_valued(column("id", Uuid()), column("rank", Float()), column("excerpt", String()))


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


class _Query(TypeDecorator[Words]):
    """Words in the language in which an index of the database is asked."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Words | None, dialect: Dialect) -> str:
        """For FTS5: each a string, which need not follow each other; a `*` after what is only begun.

        For the functions on PostgreSQL: each a line, what is only begun the last, which may be empty.
        """
        assert value is not None
        if dialect.name == "postgresql":
            return "\n".join(" ".join(one.split()) for one in (*value.whole, value.begun))
        strings = ['"' + one.replace('"', '""') + '"' for one in (*value.whole, value.begun)]
        begun = f"{strings.pop()}*" if value.begun else strings.pop()
        return " ".join((*strings, begun))


class Found(FunctionElement[Any]):
    """Which rows of a table have words: their `id`, a `rank`, the smaller the better, and an `excerpt`.

    It names the columns that are searched, so that who looks at a statement sees what it reads. How it is written
    depends on the database.
    """

    inherit_cache = True
    name = "lichen_found"

    def __init__(
        self,
        searched_table: Table,
        query: BindParameter[Words] | None,
        likes: list[BindParameter[str]],
        marks: tuple[str, str],
    ) -> None:
        columns = [searched_table.c.id, *searched(searched_table)]
        binds = [bindparam(None, mark, String()) for mark in marks]
        super().__init__(*columns, *binds, *likes, *([] if query is None else [query]))


@compiles(Found)
def _for_people(element: Found, compiler: SQLCompiler, **options: Any) -> str:
    """As a function that no database has: statements are shown so, and those for others than these fail."""
    return compiler.visit_function(element, **options)  # type: ignore[arg-type]  # it asks for no more than this has


class _Parts(NamedTuple):
    """What is found, taken apart: its table, its texts as columns of an alias of that, and the parameters."""

    table: Table
    texts: list[Column[Any]]
    marks: list[BindParameter[Any]]
    likes: list[BindParameter[Any]]
    query: BindParameter[Any] | None


def _parts(element: Found) -> _Parts:
    columns = [one for one in element.clauses if isinstance(one, Column)]
    opening, closing, *likes = (one for one in element.clauses if isinstance(one, BindParameter))
    query = likes.pop() if likes and isinstance(likes[-1].type, _Query) else None
    found = columns[0].table
    assert isinstance(found, Table)
    rows = found.alias("lichen_row")
    return _Parts(found, [rows.c[one.name] for one in columns[1:]], [opening, closing], likes, query)


@compiles(Found, "sqlite")
def _for_sqlite(element: Found, compiler: SQLCompiler, **options: Any) -> str:
    searched_table, texts, (opening, closing), likes, query = _parts(element)
    rows = texts[0].table
    conditions = [or_(*(text.like(like, escape="\\") for text in texts)) for like in likes]
    chosen: Select[*tuple[Any, ...]]
    if query is None:
        chosen = select(rows.c.id, literal_column("0.0").label("rank"), func.substr(texts[0], 1, 64).label("excerpt"))
    else:
        name = name_of(searched_table)
        index = table(name, column(name), column("rowid"), column("rank")).alias("lichen_index")
        excerpt = func.snippet(index.c[name], -1, opening, closing, literal("…"), EXCERPT_WORDS)
        chosen = select(rows.c.id, index.c.rank, excerpt.label("excerpt"))
        chosen = chosen.join_from(index, rows, literal_column("lichen_row.rowid") == index.c.rowid)
        conditions.append(index.c[name].op("MATCH", is_comparison=True)(query))
    return f"({compiler.process(chosen.where(and_(*conditions)), **options)})"


@compiles(Found, "postgresql")
def _for_postgres(element: Found, compiler: SQLCompiler, **options: Any) -> str:
    searched_table, texts, (opening, closing), likes, query = _parts(element)
    rows = texts[0].table
    conditions: list[Any] = [or_(*(text.ilike(like, escape="\\") for text in texts)) for like in likes]
    rank: Any = literal_column("0.0::float")
    excerpt: Any = func.substr(texts[0], 1, 64)
    every = array([func.coalesce(one, "") for one in texts])
    if query is not None and searched_table.info[SEARCH] == "trigram":
        conditions.append(func.lichen_has(every, query))
        excerpt = func.lichen_around(every, query, opening, closing)
    elif query is not None:
        words: Any = literal_column(vector(f"lichen_row.{quoted(one.name)}" for one in texts))
        conditions.append(words.op("@@", is_comparison=True)(func.lichen_query(query)))
        rank = -func.ts_rank(words, func.lichen_query(query))
        excerpt = func.lichen_excerpt(every, query, opening, closing, EXCERPT_WORDS)
    chosen = select(rows.c.id, rank.label("rank"), excerpt.label("excerpt")).where(and_(*conditions))
    return f"({compiler.process(chosen, **options)})"
