"""Names in SQL that is put together by hand."""

from __future__ import annotations

import hashlib

MOST_BYTES = 63
"""Longest name that PostgreSQL keeps whole."""


def short(name: str) -> str:
    """A name that PostgreSQL keeps whole, and is another for each other name."""
    whole = name.encode()
    if len(whole) <= MOST_BYTES:
        return name
    return whole[: MOST_BYTES - 17].decode(errors="ignore") + "_" + hashlib.sha256(whole).hexdigest()[:16]


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(name: str) -> str:
    """A name as a string in SQL."""
    return "'" + name.replace("'", "''") + "'"
