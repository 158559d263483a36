"""Dataclasses as models."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, get_type_hints

from lichen_crdt.errors import InvalidModel
from lichen_crdt.typed.records import Declared, Rejected, unreadable


class Dataclasses:
    """What is particular to dataclasses. A field's key is its name, or `alias` in its metadata."""

    def declared(self, model: type) -> list[Declared]:
        """The fields with `init=True`. Raises `InvalidModel`."""
        try:
            hints = get_type_hints(model, include_extras=True)
        except Exception as error:
            raise InvalidModel(f"{model.__name__}: its annotations cannot be resolved: {error}") from error
        if any(isinstance(hint, dataclasses.InitVar) for hint in hints.values()):
            raise InvalidModel(f"{model.__name__}: an InitVar is not stored, so the model could not be read again")
        return [_declared(found, hints[found.name]) for found in dataclasses.fields(model) if found.init]

    def build(self, model: type, values: dict[str, Any]) -> Any:
        """Call the class; what `__post_init__` raises is about the model as a whole."""
        missing = [name for name in _required(model) if name not in values]
        if missing:
            raise Rejected((name, "it is required") for name in missing)
        try:
            return model(**values)
        except Exception as error:  # the application's own code, on whatever a stranger wrote
            raise Rejected([(None, str(error) or type(error).__name__)]) from error

    def part(self, model: type, values: dict[str, Any]) -> Any:
        """An instance without the missing fields; fields with `init=False` are missing too."""
        made: Any = object.__new__(_partial(model))
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made

    def checked(self, model: type, values: dict[str, Any]) -> dict[str, Any]:
        """`__post_init__` is run on a copy, if there is one, and what it makes of the values is taken."""
        if not hasattr(model, "__post_init__"):
            return values
        made = self.build(model, values)
        return {name: getattr(made, name) for name in values}

    def has_enum_values(self, model: Any) -> bool:
        """Never: it is a setting of pydantic."""
        return False

    def extra(self, value: Any) -> Iterable[str]:
        """What was assigned to names of no field, unless they are private, or the class computes them."""
        model = type(value)
        fields = {field.name for field in dataclasses.fields(model)}
        unknown = [name for name in getattr(value, "__dict__", ()) if name not in fields and not hasattr(model, name)]
        found = [name for name in unknown if not name.startswith("_")]
        computed = _computed(value) if found else ()
        return [name for name in found if name not in computed]


def _computed(value: Any) -> Iterable[str]:
    """The attributes that `__post_init__` makes; none of an instance that it never saw, since fields are missing."""
    model: Any = type(value)
    names = [field.name for field in dataclasses.fields(model) if field.init]
    if not hasattr(model, "__post_init__") or not all(hasattr(value, name) for name in names):
        return ()
    try:
        made = model(**{name: getattr(value, name) for name in names})
    except Exception:  # the values do not fit: then that is what is said of them
        made = value
    return [*vars(made)]


@functools.lru_cache(maxsize=1024)
def _required(model: Any) -> tuple[str, ...]:
    return tuple(
        found.name
        for found in dataclasses.fields(model)
        if found.init and found.default is dataclasses.MISSING and found.default_factory is dataclasses.MISSING
    )


def _declared(field: dataclasses.Field[Any], annotation: Any) -> Declared:
    key = field.metadata.get("alias", field.name)
    if not isinstance(key, str) or not key:
        raise InvalidModel(f"the alias of {field.name} is a string")
    default = None
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory
    elif field.default is not dataclasses.MISSING:
        value = field.default
        default = functools.partial(_same, value)
    return Declared(field.name, key, annotation, default)


def _same(value: Any) -> Any:
    return value


@functools.lru_cache(maxsize=1024)
def _partial(model: type) -> type:
    """The class whose missing fields say why they are missing."""

    def missing(self: Any, name: str) -> Any:
        if any(field.name == name for field in dataclasses.fields(model)):
            raise unreadable(model, name)
        raise AttributeError(f"{model.__name__!r} object has no attribute {name!r}")

    def show(self: Any) -> str:
        names = [field.name for field in dataclasses.fields(model)]
        shown = (f"{name}={getattr(self, name)!r}" for name in names if hasattr(self, name))
        return f"{model.__name__}({', '.join(shown)})"

    def equal(self: Any, other: object) -> bool:
        if type(other) is not type(self):
            return False
        names = [field.name for field in dataclasses.fields(model)]
        return all(bool(getattr(self, name, missing) == getattr(other, name, missing)) for name in names)

    namespace = {"__getattr__": missing, "__repr__": show, "__eq__": equal, "__hash__": None}
    return type(model.__name__, (model,), namespace | {"__module__": model.__module__})
