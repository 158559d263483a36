"""Objects of the application's classes that cannot be written: rows as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from lichen_crdt import ReadOnly

_FROZEN = "__lichen_frozen__"
"""Where a class has the one whose objects cannot be written."""


def freeze(instance: Any) -> None:
    """Let nobody write a mapped object any more, nor its collections. It stays an object of its class."""
    values = instance.__dict__
    values.update({name: frozen_value(value) for name, value in values.items() if name != "_sa_instance_state"})
    object.__setattr__(instance, "__class__", _frozen_class(type(instance)))


def frozen_value(value: Any) -> Any:
    """A collection, at any depth, as one of the same kind that cannot be written; other values as they are."""
    if isinstance(value, dict):
        return _Dict({key: frozen_value(one) for key, one in value.items()})
    if isinstance(value, set):
        return frozenset(value)
    return _List(map(frozen_value, value)) if isinstance(value, list) else value


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise ReadOnly("what a row was cannot be written: write the row")


def _refusing(*names: str) -> dict[str, Callable[..., NoReturn]]:
    return dict.fromkeys(names, _refuse)


_both = ("__setitem__", "__delitem__", "__ior__", "__iadd__", "__imul__", "clear", "pop")
_List = type("FrozenList", (list,), _refusing(*_both, "append", "extend", "insert", "remove", "reverse", "sort"))
_Dict = type("FrozenDict", (dict,), _refusing(*_both, "popitem", "setdefault", "update"))


def _frozen_class(cls: type[Any]) -> type[Any]:
    found: type[Any] | None = vars(cls).get(_FROZEN)
    if found is None:
        names = {
            "__abstract__": True,
            "__module__": cls.__module__,
            "__doc__": cls.__doc__,
            "__qualname__": cls.__qualname__,
        }
        meta: Any = type(cls)
        found = meta(cls.__name__, (cls,), names | _refusing("__setattr__", "__delattr__"))
        type.__setattr__(cls, _FROZEN, found)
    assert found is not None
    return found
