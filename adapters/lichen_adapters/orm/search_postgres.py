"""Full-text search on PostgreSQL: an index on an expression, which the database keeps, and functions that ask it.

Words are compared without case and accents: as Unicode takes letters apart (NFKD), in lower case by ICU's rules, and
without the marks. A `tsvector` of the words is indexed by GIN. Texts that are searched by parts of words are compared
in the same form, row by row: there is no index for them.

Sources: https://www.postgresql.org/docs/current/textsearch.html, https://www.unicode.org/reports/tr15/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Table

from lichen_adapters.orm.sql_names import quoted, short

MOST_SEARCHED = 100_000
"""Characters of a row's texts that are searched; more would not fit into a `tsvector` of 1 MB, and stop the writer."""
EXCERPT_CHARACTERS = 64
"""Length of an excerpt of texts that are searched by parts of words, without what was found."""

_FUNCTIONS = {
    # A text without case and accents.
    "lichen_plain(typed text) RETURNS text": """LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $lichen$
SELECT regexp_replace(normalize(lower(typed COLLATE "und-x-icu"), NFKD), U&'[\\0300-\\036F]', '', 'g')
$lichen$""",
    # Its words, with a space between each two.
    "lichen_words(typed text) RETURNS text": f"""LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $lichen$
SELECT btrim(regexp_replace(left(lichen_plain(typed), {MOST_SEARCHED}) COLLATE "und-x-icu", '[^[:alnum:]]+', ' ', 'g'))
$lichen$""",
    "lichen_vector(typed text) RETURNS tsvector": """LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $lichen$
SELECT to_tsvector('simple'::regconfig, lichen_words(typed))
$lichen$""",
    # What lines ask for: each a word or a phrase, and in the last the beginning of a word.
    "lichen_query(typed text) RETURNS tsquery": """LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $lichen$
DECLARE
    lines text[] := ARRAY[''] || string_to_array(typed, E'\\n');
    words text;
    part tsquery;
    found tsquery;
BEGIN
    FOR line IN 1 .. array_length(lines, 1) LOOP
        words := lichen_words(lines[line]);
        CONTINUE WHEN words = '';
        IF line = array_length(lines, 1) THEN
            part := to_tsquery('simple', replace(words, ' ', ' <-> ') || ':*');
        ELSE
            part := phraseto_tsquery('simple', words);
        END IF;
        CONTINUE WHEN numnode(part) = 0;
        found := CASE WHEN found IS NULL THEN part ELSE found && part END;
    END LOOP;
    RETURN coalesce(found, ''::tsquery);
END
$lichen$""",
    # Some words of the first text in which one is found, around it; those that are found between two marks.
    "lichen_excerpt(texts text[], typed text, opening text, closing text, most int) RETURNS text": f"""
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $lichen$
DECLARE
    lines text[] := ARRAY[''] || string_to_array(typed, E'\\n');
    whole text[] := string_to_array(lichen_words(array_to_string(lines[:array_length(lines, 1) - 1], ' ')), ' ');
    begun text := lichen_words(lines[array_length(lines, 1)]);
    parts text[];
    hits boolean[];
    first int;
    start int;
    finish int;
    shown text;
    word text;
    made text := '';
BEGIN
    FOREACH shown IN ARRAY texts LOOP
        SELECT array_agg(one[1]) INTO parts FROM regexp_matches(
            normalize(left(shown, {MOST_SEARCHED})) COLLATE "und-x-icu", '[[:alnum:]]+|[^[:alnum:]]+', 'g') one;
        hits := '{{}}';
        FOR at IN 1 .. coalesce(array_length(parts, 1), 0) LOOP
            word := lichen_words(parts[at]);
            hits[at] := word <> '' AND (word = ANY (whole) OR (begun <> '' AND (
                starts_with(word, begun) OR word = ANY (string_to_array(begun, ' ')))));
            first := CASE WHEN first IS NULL AND hits[at] THEN at ELSE first END;
        END LOOP;
        EXIT WHEN first IS NOT NULL;
    END LOOP;
    IF parts IS NULL THEN
        RETURN '';
    END IF;
    start := greatest(1, least(coalesce(first, 1) - most / 2, array_length(parts, 1) - 2 * most + 1));
    finish := least(start + 2 * most - 1, array_length(parts, 1));
    FOR at IN start .. finish LOOP
        made := made || CASE WHEN hits[at] THEN opening || parts[at] || closing ELSE parts[at] END;
    END LOOP;
    RETURN CASE WHEN start > 1 THEN '…' ELSE '' END || made
        || CASE WHEN finish < array_length(parts, 1) THEN '…' ELSE '' END;
END
$lichen$""",
    # Whether each line is somewhere in one of the texts.
    "lichen_has(texts text[], typed text) RETURNS boolean": """LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $lichen$
SELECT bool_and(EXISTS (
    SELECT FROM unnest(texts) one WHERE strpos(lichen_plain(one), lichen_plain(line)) > 0
)) FROM unnest(string_to_array(typed, E'\\n')) line WHERE line <> ''
$lichen$""",
    # What is around the first line that is found as it stands but for its case, or the beginning of the first text.
    "lichen_around(texts text[], typed text, opening text, closing text) RETURNS text": f"""
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $lichen$
DECLARE
    around int := {EXCERPT_CHARACTERS // 2};
    shown text;
    line text;
    at int;
    start int;
BEGIN
    FOREACH shown IN ARRAY texts LOOP
        FOREACH line IN ARRAY string_to_array(typed, E'\\n') LOOP
            at := strpos(lower(shown COLLATE "und-x-icu"), lower(line COLLATE "und-x-icu"));
            IF line <> '' AND at > 0 THEN
                start := greatest(1, at - around);
                RETURN CASE WHEN start > 1 THEN '…' ELSE '' END || substr(shown, start, at - start)
                    || opening || substr(shown, at, length(line)) || closing
                    || substr(shown, at + length(line), around)
                    || CASE WHEN length(shown) >= at + length(line) + around THEN '…' ELSE '' END;
            END IF;
        END LOOP;
    END LOOP;
    RETURN left(texts[1], {EXCERPT_CHARACTERS});
END
$lichen$""",
}


def vector(columns: Iterable[str]) -> str:
    """The words of texts, in SQL, given the names of their columns."""
    texts = " || ' ' || ".join(f"coalesce({name}, '')" for name in columns)
    return f"lichen_vector({texts})"


def install(conn: Connection, tables: Mapping[str, tuple[Table, list[str]]], *, others: bool) -> None:
    """Make what is missing of the indexes of tables that exist, anew where it is not as declared; drop `others`.

    Given are, by the name of an index, its table and its columns, in SQL; of no columns there is only the way to ask.
    """
    found = conn.exec_driver_sql(
        "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND indexdef ~ 'lichen_vector'"
    )
    for name in {*found.scalars()} - {short(name) for name in tables} if others else ():
        conn.exec_driver_sql(f"DROP INDEX {quoted(name)}")
    for name, (table, columns) in tables.items():
        exists = conn.exec_driver_sql("SELECT to_regclass(%s)", (quoted(table.name),)).scalar() is not None
        if exists and not (columns and is_there(conn, name, table, columns)):
            create(conn, name, table, columns)


def is_there(conn: Connection, name: str, table: Table, columns: list[str]) -> bool:
    """Whether an index is as it would be made; what has no columns needs none."""
    query = "SELECT obj_description(to_regclass(%s))"
    found = conn.exec_driver_sql(query, (quoted(short(name)),)).scalar()
    return not columns or found == _mark(table, columns)


def create(conn: Connection, name: str, table: Table, columns: list[str]) -> None:
    """Make what asks, and an index, or make them anew."""
    statements = [f"CREATE OR REPLACE FUNCTION {signature} {body}" for signature, body in _FUNCTIONS.items()]
    if columns:
        index = quoted(short(name))
        statements += [
            f"DROP INDEX IF EXISTS {index}",
            f"CREATE INDEX {index} ON {quoted(table.name)} USING gin ({vector(columns)})",
            f"COMMENT ON INDEX {index} IS '{_mark(table, columns)}'",
        ]
    for statement in statements:
        conn.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _mark(table: Table, columns: list[str]) -> str:
    """What tells an index, and how its words are made, from others."""
    made = repr((sorted(_FUNCTIONS.items()), table.name, columns))
    return hashlib.sha256(made.encode()).hexdigest()
