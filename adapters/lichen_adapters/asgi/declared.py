"""What an application serves to its pages: functions by name, whose annotations say what a page may give them."""

from __future__ import annotations

import inspect
import math
import typing
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from lichen.errors import ConfigError, NotFound

from lichen_adapters.asgi.bounds import PARAMETER_CHARACTERS

F = TypeVar("F", bound=Callable[..., Any])

_KINDS = (str, int, float, bool, uuid.UUID, date, datetime)
_MOST_INT = 2**63


@dataclass(frozen=True, slots=True)
class Declared(Generic[F]):
    """One function that pages may name, and the kinds of its parameters."""

    name: str
    function: F
    kinds: Mapping[str, type]
    needed: frozenset[str]

    @classmethod
    def of(cls, function: F) -> Declared[F]:
        """Raises `ConfigError` where a parameter is not of a kind that a page can give."""
        name = function.__name__
        try:
            hints = typing.get_type_hints(function)
        except NameError as error:
            raise ConfigError(
                f"{name}() is annotated with {error.name}, which is not there at run time",
                hint="import it outside of TYPE_CHECKING",
            ) from error
        parameters = inspect.signature(function).parameters.values()
        for parameter in parameters:
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ConfigError(f"{name}() takes {parameter}, which a page cannot give")
            if hints.get(parameter.name) not in _KINDS:
                kinds = ", ".join(kind.__name__ for kind in _KINDS)
                raise ConfigError(
                    f"a page cannot give {parameter.name} to {name}()", hint=f"annotate it as one of {kinds}"
                )
        needed = frozenset(one.name for one in parameters if one.default is one.empty)
        return cls(name, function, {one.name: hints[one.name] for one in parameters}, needed)

    def arguments(self, given: object, *, texts: bool = False) -> dict[str, Any]:
        """What a page has given, checked; with `texts` every value is text, as in an address. Raises `ConfigError`."""
        if not isinstance(given, Mapping):
            raise ConfigError(f"the parameters of {self.name} are not given by name")
        unknown = [name for name in given if name not in self.kinds]
        missing = sorted(self.needed - given.keys())
        if unknown or missing:
            what = f"lacks {missing[0]}" if missing else f"has no {str(unknown[0])[:50]!r}"
            raise ConfigError(f"{self.name} {what}", hint=f"its parameters are {', '.join(self.kinds) or 'none'}")
        return {name: self._value(name, value, texts=texts) for name, value in given.items()}

    def _value(self, name: str, value: object, *, texts: bool) -> Any:
        kind = self.kinds[name]
        try:
            if isinstance(value, str):
                _check_text(value)
                return value if kind is str else _read(kind, value, texts=texts)
            return _number(kind, value)
        except (ValueError, OverflowError) as error:
            raise ConfigError(f"{name} of {self.name} is no {kind.__name__}") from error


def _check_text(value: str) -> None:
    if len(value) > PARAMETER_CHARACTERS or any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError


def _read(kind: type, text: str, *, texts: bool) -> Any:
    if kind in (date, datetime):
        return kind.fromisoformat(text)
    if kind is uuid.UUID:
        return uuid.UUID(text)
    if not texts or (kind is bool and text not in ("true", "false")):
        raise ValueError
    return text == "true" if kind is bool else _number(kind, kind(text))


def _number(kind: type, value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        number: object = value if kind is bool and isinstance(value, bool) else None
    elif kind is float:
        number = float(value) if math.isfinite(float(value)) else None
    else:
        number = value if kind is int and isinstance(value, int) and abs(value) < _MOST_INT else None
    if number is None:
        raise ValueError
    return number


class Served(Generic[F]):
    """The functions that pages may name; all others are out of their reach."""

    def __init__(self, what: str, *, may_wait: bool = False) -> None:
        """`may_wait` says whether they may be coroutines."""
        self._what = what
        self._may_wait = may_wait
        self._by_name: dict[str, Declared[F]] = {}

    def add(self, function: F) -> None:
        """Raises `ConfigError` where there is one of this name, and for what no page can use."""
        declared = Declared.of(function)
        if not self._may_wait and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
            raise ConfigError(f"{self._what} {declared.name} is a coroutine", hint="declare it with def")
        if declared.name in self._by_name:
            raise ConfigError(f"{self._what} {declared.name} is declared twice")
        self._by_name[declared.name] = declared

    def named(self, name: object) -> Declared[F]:
        """Raises `NotFound`."""
        found = self._by_name.get(name) if isinstance(name, str) else None
        if found is None:
            raise NotFound(f"this program serves no {self._what} called {str(name)[:50]!r}")
        return found
