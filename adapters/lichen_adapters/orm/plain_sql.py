"""Statements in plain SQL that would part rows and documents: they are refused."""

from __future__ import annotations

import re

from lichen_adapters.orm.errors import SessionMisuse

_SPACE = r"(?:\s|;|\ufeff|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
"""What may stand before a statement: databases pass over empty ones too."""
_ENDS = re.compile(
    rf"{_SPACE}"
    r"(?:ABORT|BEGIN|COMMIT|END|PREPARE\s+TRANSACTION|START\s+TRANSACTION|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO))\b",
    re.IGNORECASE | re.DOTALL,
)
"""How a statement begins that begins or ends a transaction."""
_SETS = re.compile(
    rf"{_SPACE}PRAGMA\s+(?:\w+\s*\.\s*)?"
    r"(?:ignore_check_constraints|journal_mode|locking_mode|query_only|recursive_triggers|rekey|writable_schema)\s*[=(]",
    re.IGNORECASE | re.DOTALL,
)
"""How SQLite is told what the engine has told it otherwise."""
_QUOTED = re.compile(
    r"""\bE'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|(?<![\w$])(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/"""
    r"|\bBEGIN\s+ATOMIC\b.*",
    re.IGNORECASE | re.DOTALL,
)
"""Where a semicolon ends no statement: in strings, names, comments and bodies of functions."""


def refuse(statement: str, dialect: str) -> None:
    """Raises `SessionMisuse` for a statement that a session must not execute on a database of this kind."""
    words = f"{statement.strip()[:40]}"
    if _ENDS.match(statement):
        raise SessionMisuse(
            f"a statement was to begin or end the transaction of a session: {words}",
            hint="call commit() or rollback(), which write documents too; begin_nested() for a part of it",
        )
    if dialect == "sqlite":
        if _SETS.match(statement):
            raise SessionMisuse(
                f"a statement was to change how the engine's connections work: {words}", hint="leave it out"
            )
    elif ";" in statement and ";" in _QUOTED.sub("", statement).strip("; \t\r\n"):  # the driver would execute them all
        raise SessionMisuse(f"several statements were given as one: {words}", hint="execute each by itself")
