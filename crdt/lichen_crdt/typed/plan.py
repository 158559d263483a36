"""From the annotations of a model to its shape."""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, NewType, Union, get_args, get_origin

from lichen_crdt.counter import Counter
from lichen_crdt.errors import InvalidModel
from lichen_crdt.text import Text
from lichen_crdt.typed.containers import DictShape, ListShape, UnionShape
from lichen_crdt.typed.dataclass_models import Dataclasses
from lichen_crdt.typed.leaves import (
    NATIVES,
    SPELLED,
    CounterShape,
    Plain,
    Shape,
    TextShape,
    choice_of,
)
from lichen_crdt.typed.records import Declared, Field, Kind, RecordShape
from lichen_crdt.typed.steps import Drop, SetDefault, Source, check_model, versions_of

_MARKED: dict[Any, Shape] = {Text: TextShape(as_str=True), Counter: CounterShape(as_int=True)}


def shape_of(model: type) -> RecordShape:
    """The shape of the model of a document: a dataclass or a pydantic model. Raises `InvalidModel`."""
    if not isinstance(model, type) or _kind(model) is None:
        raise InvalidModel(f"{model!r} is neither a dataclass nor a pydantic model")
    return _known(model)


@functools.lru_cache(maxsize=256)
def _known(model: type) -> RecordShape:
    return _Plan().record(model)


def _is_pydantic(model: type) -> bool:
    loaded = sys.modules.get("pydantic")  # a model can only be one of its if it was imported
    # A RootModel is no map: it is dumped as what is in it.
    return loaded is not None and issubclass(model, loaded.BaseModel) and not issubclass(model, loaded.RootModel)


def _kind(model: type) -> Kind | None:
    if _is_pydantic(model):
        from lichen_crdt.typed.pydantic_models import PydanticModels

        return PydanticModels()
    if not dataclasses.is_dataclass(model):
        return None
    if hasattr(model, "__pydantic_fields__"):
        from lichen_crdt.typed.pydantic_models import PydanticDataclasses

        return PydanticDataclasses()
    return Dataclasses()


class _Rules(NamedTuple):
    """What the class of a field has to say about its type."""

    pydantic: bool
    """Whether other types than those of documents have a form."""
    enum_values: bool
    """Whether it holds the values of enums in place of their members."""


class _Plan:
    """The shapes of one model and of what lies in it, which may be itself."""

    def __init__(self) -> None:
        self._records: dict[type, RecordShape] = {}

    def record(self, model: type) -> RecordShape:
        if model in self._records:
            self._check_nested(model)
            return self._records[model]
        kind = _kind(model)
        if kind is None:
            raise InvalidModel(f"{model.__name__} is neither a dataclass nor a pydantic model")
        if self._records:
            self._check_nested(model)
        shape = self._records[model] = RecordShape(model, kind, versions_of(model))
        shape.fields.extend(self._field(shape, declared) for declared in kind.declared(model))
        self._check(shape)
        return shape

    def _field(self, record: RecordShape, declared: Declared) -> Field:
        rules = _Rules(hasattr(record.model, "__pydantic_fields__"), record.kind.has_enum_values(record.model))
        try:
            shape = self._shape(declared.annotation, rules)
        except InvalidModel as error:
            raise InvalidModel(f"{record.model.__name__}.{declared.name}: {error}") from error
        sources: tuple[Source, ...] = (Source(declared.key),)
        if record.versions is not None:
            sources = record.versions.sources(declared.key)
            wrap = record.versions.wraps(declared.key)
            if wrap is not None:
                shape = _wrapping(shape, wrap)
        return Field(declared.name, declared.key, declared.default, shape, sources, _is_structural(shape))

    def _check(self, record: RecordShape) -> None:
        keys = [field.key for field in record.fields]
        if len({*keys}) < len(keys):
            raise InvalidModel(f"{record.model.__name__}: two fields have one key")
        if record.versions is not None:
            check_model(record.versions, record.model.__name__, keys)

    def _check_nested(self, model: type) -> None:
        versions = versions_of(model)
        for _, step in versions.steps if versions is not None else ():
            if isinstance(step, (SetDefault, Drop)):
                raise InvalidModel(f"{model.__name__}: {step} is for the model of a whole document")

    def _shape(self, annotation: Any, rules: _Rules) -> Shape:
        origin = get_origin(annotation)
        if origin is Annotated:
            return self._annotated(annotation, rules)
        if origin in (Union, types.UnionType):
            return UnionShape([self._shape(member, rules) for member in get_args(annotation)])
        if origin is not None:
            return self._generic(origin, get_args(annotation), annotation, rules)
        if isinstance(annotation, NewType):
            return self._shape(annotation.__supertype__, rules)
        if hasattr(annotation, "__value__"):  # `type Name = ...`
            return self._shape(annotation.__value__, rules)
        return self._single(annotation, rules)

    def _annotated(self, annotation: Any, rules: _Rules) -> Shape:
        base, *marks = get_args(annotation)
        for mark in marks:
            if isinstance(mark, type) and mark in _MARKED:
                return _MARKED[mark]
        inner = self._shape(base, rules)
        return _adapted(annotation) if rules.pydantic and not _is_structural(inner) else inner

    def _generic(self, origin: Any, arguments: tuple[Any, ...], annotation: Any, rules: _Rules) -> Shape:
        if origin is Literal:
            return choice_of(arguments, ", ".join(map(repr, arguments)), as_values=rules.enum_values)
        if origin is list:
            return ListShape(self._shape(arguments[0], rules))
        if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
            return ListShape(self._shape(arguments[0], rules), tuple)
        if origin is dict:
            return DictShape(self._key(arguments[0], rules), self._shape(arguments[1], rules))
        return self._other(annotation, rules)

    def _key(self, annotation: Any, rules: _Rules) -> Shape:
        shape = self._shape(annotation, rules)
        if _is_structural(shape) or shape in (NATIVES[int], NATIVES[float], NATIVES[bool], NATIVES[bytes]):
            raise InvalidModel(f"the keys of a dict are strings, or stored as strings, not {annotation}")
        return shape

    def _single(self, annotation: Any, rules: _Rules) -> Shape:
        found = _SINGLE.get(annotation)
        if found is not None:
            return found
        if isinstance(annotation, type):
            if issubclass(annotation, Enum):
                return choice_of(annotation, annotation.__name__, as_values=rules.enum_values)
            if _kind(annotation) is not None:
                return self.record(annotation)
        return self._other(annotation, rules)

    def _other(self, annotation: Any, rules: _Rules) -> Shape:
        if rules.pydantic:
            return _adapted(annotation)
        raise InvalidModel(f"a document has no form for {annotation}; lists, dicts, models and single values have one")


_SINGLE: dict[Any, Shape] = {
    **NATIVES,
    **SPELLED,
    Text: TextShape(),
    Counter: CounterShape(),
    Any: Plain(),
    object: Plain(),
    dict: Plain(dict),
    list: Plain(list),
}


def _adapted(annotation: Any) -> Shape:
    from lichen_crdt.typed.pydantic_models import Adapted

    return Adapted(annotation)


def _is_structural(shape: Shape) -> bool:
    if isinstance(shape, UnionShape):
        return any(map(_is_structural, shape.members))
    return isinstance(shape, (RecordShape, ListShape, DictShape, Plain, TextShape, CounterShape))


def _wrapping(shape: Shape, field: str) -> Shape:
    """The shape of a list whose items once were no maps."""
    if isinstance(shape, ListShape) and isinstance(shape.item, RecordShape):
        # A model that lies in itself is not known whole yet: its fields are looked at by their declarations.
        keys = [declared.key for declared in shape.item.kind.declared(shape.item.model)]
        if field in keys:
            return ListShape(shape.item, shape.kind, field)
    raise InvalidModel(f"WrapItems needs a list of models here, with a field at {field!r}")
