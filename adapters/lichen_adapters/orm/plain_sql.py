"""Statements in plain SQL: which only read, and which would part rows and documents, and are refused."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.engine.interfaces import ExecutionContext

from lichen_adapters.orm.errors import SessionMisuse

_SPACE = r"(?:\s|;|\ufeff|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
"""What may stand before a statement: databases pass over empty ones too."""
_ENDS = re.compile(
    rf"{_SPACE}"
    r"(?:ABORT|BEGIN|COMMIT|END|PREPARE\s+TRANSACTION|START\s+TRANSACTION|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO))\b",
    re.IGNORECASE | re.DOTALL,
)
"""How a statement begins that begins or ends a transaction."""
_OPEN, _SHUT = r"""["'`\[]?""", r"""["'`\]]?"""
_SETS = re.compile(
    rf"{_SPACE}(?:EXPLAIN\b{_SPACE}(?:QUERY\b{_SPACE}PLAN\b{_SPACE})?)?PRAGMA{_SPACE}"
    rf"(?:{_OPEN}\w+{_SHUT}{_SPACE}\.{_SPACE})?{_OPEN}"
    r"(?:cipher_\w+|ignore_check_constraints|journal_mode|key|locking_mode|query_only|recursive_triggers|rekey"
    rf"|schema_version|writable_schema){_SHUT}{_SPACE}[=(]",
    re.IGNORECASE | re.DOTALL,
)
"""How SQLite is told what the engine has told it otherwise: also by a statement that is only to be explained."""
_SILENCES = re.compile(rf"{_SPACE}ALTER\b.*\b(?:DISABLE|ENABLE\s+REPLICA)\s+TRIGGER\b", re.IGNORECASE | re.DOTALL)
"""How PostgreSQL is told that triggers are not to fire."""
_WRITING_PRAGMA = r".*(?:=|\boptimize\b|\bincremental_vacuum\b|\b(?:application_id|user_version)\W*\()"
_READS = re.compile(rf"\s*(?:SELECT|EXPLAIN|VALUES|PRAGMA(?!{_WRITING_PRAGMA}))", re.IGNORECASE | re.DOTALL)
_ACTS = re.compile(
    r"\b(?:(?:nextval|pg_notify|pg_(?:try_)?advisory_xact_lock(?:_shared)?|set_config|setval)\s*\("
    r"|FOR\s+(?:(?:NO\s+KEY\s+)?UPDATE|(?:KEY\s+)?SHARE)\b)",
    re.IGNORECASE,
)
"""What does something for the whole transaction, or writes, in a `SELECT` of PostgreSQL."""
_SEVERAL = "42601"
"""How PostgreSQL says that a statement is more than one, among other mistakes in it."""


def reads(statement: str) -> bool:
    """Whether a statement begins as one that only reads."""
    return _READS.match(statement) is not None


def acts(statement: str) -> bool:
    """Whether a statement that reads does something, too, that is to last as long as the transaction."""
    return _ACTS.search(statement) is not None


def refuse(statement: str, dialect: str) -> None:
    """Raises `SessionMisuse` for a statement that a session must not execute on a database of this kind."""
    if _ENDS.match(statement):
        raise SessionMisuse(
            f"a statement was to begin or end the transaction of a session: {_words(statement)}",
            hint="call commit() or rollback(), which write documents too; begin_nested() for a part of it",
        )
    if dialect == "sqlite" and _SETS.match(statement):
        raise SessionMisuse(
            f"a statement was to change how the engine's connections work: {_words(statement)}", hint="leave it out"
        )
    if dialect != "sqlite" and _SILENCES.match(statement):
        raise SessionMisuse(
            f"a statement was to keep triggers from firing: {_words(statement)}",
            hint="let a migration execute it: what is written meanwhile is in no document",
        )


def execute_one(cursor: Any, statement: str, parameters: Any, context: ExecutionContext) -> bool:
    """Let PostgreSQL say whether what may be several statements is one; whether it was executed. A `do_execute`.

    The driver would have it execute them all. Which semicolons end a statement only the database knows, and it prepares
    no others than single ones. Raises `SessionMisuse` for several: of the transaction nothing is kept then.
    """
    declared = context._is_server_side  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way to ask
    if ";" not in statement or declared:  # the driver declares a cursor by a single statement always
        return False
    try:
        cursor.execute(statement, parameters, prepare=True)
    except Exception as error:
        if getattr(error, "sqlstate", None) == _SEVERAL and "multiple commands" in str(error):
            raise SessionMisuse(
                f"several statements were given as one: {_words(statement)}", hint="execute each by itself"
            ) from error
        raise
    return True


def execute_one_plain(cursor: Any, statement: str, context: ExecutionContext) -> bool:
    """As `execute_one`, for a statement in which percent signs stand for themselves. A `do_execute_no_params`."""
    return execute_one(cursor, statement, None, context)


def _words(statement: str) -> str:
    return statement.strip()[:40]
