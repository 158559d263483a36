"""Rows of live queries as JSON."""

from __future__ import annotations

import base64
import enum
import json
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from lichen.errors import ConfigError, LimitExceeded
from sqlalchemy import inspect
from sqlalchemy.engine import Row
from sqlalchemy.exc import NoInspectionAvailable

from lichen_adapters.asgi.bounds import FRAME_BYTES
from lichen_adapters.orm import Rows

AsJson = Callable[[Any], Any]
"""What makes of a row what a page gets."""


def row_as_json(row: Any) -> Any:
    """A row's columns by name; of an object those that were loaded; a single value as it is."""
    if isinstance(row, Row):
        return {name: row_as_json(value) for name, value in row._asdict().items()}
    try:
        state = inspect(row)
    except NoInspectionAvailable:
        return row
    names = [attribute.key for attribute in state.mapper.column_attrs if attribute.key not in state.unloaded]
    return {name: getattr(row, name) for name in names}


def whole(rows: Rows[Any], as_json: AsJson) -> dict[str, Any]:
    """All rows, as a message."""
    return {"rows": [as_json(row) for row in rows]}


def different(rows: Rows[Any], as_json: AsJson) -> dict[str, Any]:
    """What is different from the rows before, as a message."""
    steps = rows.difference
    return {
        "difference": {
            "removed": steps.removed,
            "moved": steps.moved,
            "added": [(position, as_json(row)) for position, row in steps.added],
            "changed": [(position, as_json(row)) for position, row in steps.changed],
        }
    }


def text_of(message: Any) -> str:
    """A message as JSON. Raises `ConfigError` for what is none, and `LimitExceeded` where it is too large."""
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_value)
        text.encode()  # a lone surrogate is no character
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"a page cannot be told this: {error}", hint="give the query row=, which makes JSON"
        ) from error
    if len(text) > FRAME_BYTES:
        raise LimitExceeded(f"{len(text)} characters are too many for a page", hint="give the query a limit")
    return text


def _value(value: Any) -> Any:
    match value:
        case uuid.UUID() | Decimal():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case enum.Enum():
            return value.value
        case bytes():
            return base64.b64encode(value).decode()
        case set() | frozenset():
            return sorted(value)
    raise TypeError(f"a value is a {type(value).__name__}")
