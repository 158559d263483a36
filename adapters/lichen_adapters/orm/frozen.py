"""Objects of the application's classes that cannot be written: rows as they were."""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

from lichen_crdt import ReadOnly
from sqlalchemy import inspect
from sqlalchemy.ext.associationproxy import AssociationProxy, AssociationProxyInstance

from lichen_adapters.orm.conditions import join_of
from lichen_adapters.orm.errors import SessionMisuse

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
        return _Set(value)
    return _List(map(frozen_value, value)) if isinstance(value, list) else value


def refuse(_session: object, instance: Any) -> None:
    """A session takes no frozen object. A `before_attach`. Raises `ReadOnly`."""
    if type(instance).__setattr__ is _refuse:
        _refuse(instance)


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise ReadOnly("what a row was cannot be written: write the row")


def _no_copy(self: object, _protocol: object) -> NoReturn:
    raise TypeError("what a row was cannot be pickled or copied: take what you need of its values")


def _refusing(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, _refuse)


_adapter = {"_sa_adapter": property(_refuse)}
"""What SQLAlchemy asks a collection for that it is about to read or write for a session."""


def _copied_as(kind: Any) -> dict[str, Any]:
    """Copies and pickles of a collection can be written."""
    return {"__reduce_ex__": lambda self, _protocol: (kind, (kind(self),))}


_both = ("__setitem__", "__delitem__", "__ior__", "__iadd__", "__imul__", "clear", "pop")
_List = type(
    "FrozenList",
    (list,),
    _refusing(*_both, "append", "extend", "insert", "remove", "reverse", "sort") | _adapter | _copied_as(list),
)
_Dict = type("FrozenDict", (dict,), _refusing(*_both, "popitem", "setdefault", "update") | _adapter | _copied_as(dict))
_more = ("difference_update", "intersection_update", "symmetric_difference_update", "update")
_Set = type(
    "FrozenSet",
    (frozenset,),
    _refusing("add", "clear", "discard", "pop", "remove", *_more) | _adapter | _copied_as(set),
)


def _frozen_class(cls: type[Any]) -> type[Any]:
    found: type[Any] | None = vars(cls).get(_FROZEN)
    if found is None:
        names: dict[str, Any] = {
            "__abstract__": True,
            "__module__": cls.__module__,
            "__doc__": cls.__doc__,
            "__qualname__": cls.__qualname__,
            "__reduce_ex__": _no_copy,
        }
        meta: Any = type(cls)
        found = meta(
            cls.__name__, (cls,), names | _proxies(cls) | _untold(cls) | _refusing("__setattr__", "__delattr__")
        )
        type.__setattr__(cls, _FROZEN, found)
    assert found is not None
    return found


def _untold(cls: type[Any]) -> dict[str, Any]:
    """The relationships of a class of which only the database knows what is related."""
    mapper = inspect(cls).mapper
    found = [one for one in mapper.relationships if one.secondary is None and join_of(one) is None]
    return {one.key: property(partial(_refuse_untold, f"{cls.__name__}.{one.key}")) for one in found}


def _refuse_untold(name: str, _self: object) -> NoReturn:
    raise SessionMisuse(
        f"what {name} was cannot be told: its primaryjoin takes the database",
        hint="relate by one foreign key, and_ by comparisons of columns; or look at `at()` of the other rows",
    )


def _proxies(cls: type[Any]) -> dict[str, Any]:
    """The association proxies of a class, which would not know one that is not mapped."""
    found = inspect(cls).all_orm_descriptors.items()
    return {name: _through(getattr(cls, name)) for name, one in found if isinstance(one, AssociationProxy)}


def _through(proxy: AssociationProxyInstance[Any]) -> property:
    def read(self: Any) -> Any:
        beyond = getattr(self, proxy.target_collection)
        if isinstance(beyond, dict):
            return frozen_value({key: getattr(one, proxy.value_attr) for key, one in beyond.items()})
        if isinstance(beyond, list | frozenset):
            return frozen_value(type(beyond)(getattr(one, proxy.value_attr) for one in beyond))
        return None if beyond is None else getattr(beyond, proxy.value_attr)

    return property(read)
