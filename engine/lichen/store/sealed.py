"""Columns whose values tell content or are secret: sealed one by one where the database is not encrypted as a whole.

On SQLite these columns are plain ones, since the file is sealed.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, LargeBinary, String, TypeDecorator
from sqlalchemy.types import TypeEngine

from lichen.crypto.values import ValueKey

_keys: WeakKeyDictionary[Dialect, ValueKey] = WeakKeyDictionary()


def seal_under(dialect: Dialect, key: ValueKey) -> None:
    """Seal the values of these columns with this key, on every connection of an engine's dialect."""
    _keys[dialect] = key


def key_of(dialect: Dialect) -> ValueKey:
    """The key of a dialect."""
    return _keys[dialect]


class _SealedBytes(TypeDecorator[bytes]):
    impl = LargeBinary
    cache_ok = True

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else _keys[dialect].seal(self.column, value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else _keys[dialect].open(self.column, value)


class _SealedText(TypeDecorator[str]):
    impl = LargeBinary
    cache_ok = True

    def __init__(self, column: str, *, equal: bool) -> None:
        super().__init__()
        self.column = column
        self.equal = equal

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else _keys[dialect].seal(self.column, value.encode(), equal=self.equal)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else _keys[dialect].open(self.column, value).decode()


def sealed_bytes(column: str) -> TypeEngine[bytes]:
    """The type of a column of bytes; `column` names it, with its table."""
    return LargeBinary().with_variant(_SealedBytes(column), "postgresql")


def sealed_text(column: str, *, equal: bool = False) -> TypeEngine[str]:
    """The type of a column of text. With `equal`, rows can be found by it."""
    return String().with_variant(_SealedText(column, equal=equal), "postgresql")
