"""Pydantic models: imported only where a program has imported pydantic itself."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Secret, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from lichen_crdt.counter import Counter
from lichen_crdt.errors import InvalidModel, InvalidValue
from lichen_crdt.text import Text
from lichen_crdt.typed.dataclass_models import Dataclasses
from lichen_crdt.typed.leaves import describe
from lichen_crdt.typed.nodes import Misfit, Node, Path, Place, Respelled, plain_node, same
from lichen_crdt.typed.records import Declared, Rejected, unreadable


class PydanticModels:
    """What is particular to pydantic: a field's key is its alias, and models check themselves."""

    def declared(self, model: type[BaseModel]) -> list[Declared]:
        """The fields that are not excluded. Raises `InvalidModel`."""
        try:
            model.model_rebuild()
        except (PydanticUserError, NameError) as error:
            raise InvalidModel(f"{model.__name__}: {error}") from error
        return _stored(model, model.model_fields)

    def build(self, model: type[BaseModel], values: dict[str, Any]) -> BaseModel:
        """Validate by field names."""
        try:
            return model.model_validate(values, by_alias=False, by_name=True)
        except ValidationError as error:
            raise Rejected(_reasons(model.model_fields, error)) from error
        except Exception as error:  # a validator of the application, on whatever a stranger wrote
            raise Rejected([(None, str(error) or type(error).__name__)]) from error

    def part(self, model: type[BaseModel], values: dict[str, Any]) -> BaseModel:
        """An unvalidated instance without the missing fields."""
        kind = _partial(model)
        made = kind.__new__(kind)
        private = {name: info.get_default() for name, info in model.__private_attributes__.items()}
        state = {
            "__dict__": dict(values),
            "__pydantic_fields_set__": {*values},
            "__pydantic_extra__": None,
            "__pydantic_private__": {k: v for k, v in private.items() if v is not PydanticUndefined},
        }
        for name, value in state.items():
            object.__setattr__(made, name, value)
        return made

    def checked(self, model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
        """The values after validation."""
        made = self.build(model, values)
        return {name: getattr(made, name) for name in values}

    def has_enum_values(self, model: type[BaseModel]) -> bool:
        """Whether it is set up with `use_enum_values`."""
        return model.model_config.get("use_enum_values", False)

    def extra(self, value: BaseModel) -> Iterable[str]:
        """What `extra="allow"` let in."""
        return value.__pydantic_extra__ or ()


class PydanticDataclasses(Dataclasses):
    """Dataclasses that pydantic made (`pydantic.dataclasses`)."""

    def declared(self, model: Any) -> list[Declared]:
        """The fields that are not excluded, with `init=True`. Raises `InvalidModel`."""
        fields: dict[str, FieldInfo] = model.__pydantic_fields__
        return _stored(model, {name: info for name, info in fields.items() if info.init is not False})

    def build(self, model: Any, values: dict[str, Any]) -> Any:
        """Validate by field names."""
        try:
            return TypeAdapter(model).validate_python(values, by_alias=False, by_name=True)
        except ValidationError as error:
            raise Rejected(_reasons(model.__pydantic_fields__, error)) from error
        except Exception as error:  # a validator of the application, on whatever a stranger wrote
            raise Rejected([(None, str(error) or type(error).__name__)]) from error

    def checked(self, model: Any, values: dict[str, Any]) -> dict[str, Any]:
        """The values after validation."""
        made = self.build(model, values)
        return {name: getattr(made, name) for name in values}

    def has_enum_values(self, model: Any) -> bool:
        """Whether it is set up with `use_enum_values`."""
        return bool(getattr(model, "__pydantic_config__", {}).get("use_enum_values", False))


def _stored(model: type, fields: dict[str, FieldInfo]) -> list[Declared]:
    return [_declared(model, name, info) for name, info in fields.items() if not info.exclude]


def _declared(model: type, name: str, info: FieldInfo) -> Declared:
    if info.annotation is None:
        raise InvalidModel(f"{model.__name__}.{name} has no annotation")
    annotation: Any = info.annotation
    for mark in info.metadata:
        if mark in (Text, Counter):
            annotation = Annotated[annotation, mark]
    default = None
    if info.default_factory is not None and info.default_factory_takes_validated_data:
        raise InvalidModel(f"{model.__name__}.{name}: a default factory is called without other fields here")
    if not info.is_required():
        default = functools.partial(info.get_default, call_default_factory=True)
    return Declared(name, info.serialization_alias or info.alias or name, annotation, default)


def _reasons(fields: dict[str, FieldInfo], error: ValidationError) -> list[tuple[str | None, str]]:
    found: list[tuple[str | None, str]] = []
    for line in error.errors(include_url=False, include_context=False, include_input=False):
        first, *rest = line["loc"] or (None,)
        name = first if isinstance(first, str) and first in fields else None
        where = f" (at {'.'.join(map(str, rest))})" if rest else ""
        found.append((name, line["msg"] + where))
    return found


@functools.lru_cache(maxsize=1024)
def _partial(model: type[BaseModel]) -> type[BaseModel]:
    """The class whose missing fields say why they are missing."""

    def missing(self: Any, name: str) -> Any:
        if name in model.model_fields:
            raise unreadable(model, name)
        return model.__getattr__(self, name)  # type: ignore[attr-defined]  # pydantic hides it from type checkers

    namespace = {"__getattr__": missing, "__module__": model.__module__, "__qualname__": model.__qualname__}
    made: type[BaseModel] = types.new_class(model.__name__, (model,), exec_body=lambda body: body.update(namespace))
    return made


class Adapted:
    """Any other type that pydantic knows, stored as plain data: natively, or as it would be in JSON."""

    def __init__(self, annotation: Any) -> None:
        if _is_masked(annotation):
            raise InvalidModel(f"pydantic dumps asterisks for {annotation}, and what they hide would be lost")
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        except (PydanticUserError, NameError) as error:
            raise InvalidModel(str(error)) from error
        if not self._adapter.pydantic_complete:  # such as a generic model that refers to itself
            raise InvalidModel(f"{annotation} refers to what is not defined yet")

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        """Validate, in pydantic's lax mode."""
        try:
            value = self._adapter.validate_python(stored)
            node = self._node(value, len(place.path))
            return value, node if same(node, plain_node(stored, len(place.path))) else Respelled(node)
        except ValidationError as error:
            raise Misfit("; ".join(line["msg"] for line in error.errors(include_url=False))) from None
        except (TypeError, ValueError) as error:
            raise Misfit(str(error)) from None

    def write(self, value: Any, path: Path) -> Node:
        """Validate, and dump."""
        try:
            return self._node(self._adapter.validate_python(value), len(path))
        except ValidationError as error:
            why = "; ".join(line["msg"] for line in error.errors(include_url=False))
            raise InvalidValue(f"{describe(value)} does not fit: {why}", path) from error
        except (TypeError, ValueError) as error:
            raise InvalidValue(str(error), path) from error

    def accepts(self, value: Any) -> bool:
        """Whether it validates as it is."""
        try:
            self._adapter.validate_python(value, strict=True)
        except ValidationError:
            return False
        return True

    def _node(self, value: Any, depth: int) -> Node:
        try:
            return plain_node(self._adapter.dump_python(value), depth)
        except TypeError:
            dumped = self._adapter.dump_python(value, mode="json")
            if isinstance(value, (set, frozenset)) and isinstance(dumped, list):
                dumped.sort(key=repr)  # the order of a set is none
            return plain_node(dumped, depth)


def _is_masked(annotation: Any) -> bool:
    """Whether it is a secret of pydantic, or has one in it."""
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, (Secret, SecretBytes, SecretStr)):
        return True
    return any(map(_is_masked, get_args(annotation)))
