"""Shapes of models: a map of a document as a dataclass or a pydantic model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from lichen_crdt.errors import InvalidModel, InvalidValue, UnreadableField
from lichen_crdt.typed.leaves import Choice, Shape, check_depth, misfit
from lichen_crdt.typed.nodes import Entry, MapNode, Misfit, Path, Place, Problem
from lichen_crdt.typed.steps import Source, Versions

NOTHING: Any = object()
"""No value: the field is required, and what is stored does not fit or is not there."""


class Rejected(Exception):
    """A model does not take values: the field and what is wrong; None for the model as a whole."""

    def __init__(self, reasons: Iterable[tuple[str | None, str]]) -> None:
        self.reasons = [*reasons]
        super().__init__("; ".join(why if name is None else f"{name}: {why}" for name, why in self.reasons))


@dataclass(frozen=True, slots=True)
class Declared:
    """One field as its class declares it."""

    name: str
    key: str
    annotation: Any
    default: Callable[[], Any] | None
    """Makes the default; None if the field is required."""


class Kind(Protocol):
    """What differs between dataclasses and pydantic models."""

    def declared(self, model: type) -> list[Declared]:
        """The fields that are stored. Raises `InvalidModel`."""

    def build(self, model: type, values: dict[str, Any]) -> Any:
        """An instance of these values, by the class's own rules. Raises `Rejected`, also for fields not there."""

    def part(self, model: type, values: dict[str, Any]) -> Any:
        """An instance with these values alone, unchecked; reading another field of it is `UnreadableField`."""

    def checked(self, model: type, values: dict[str, Any]) -> dict[str, Any]:
        """The values as the class's own rules leave them. Raises `Rejected`."""

    def has_enum_values(self, model: type) -> bool:
        """Whether instances hold the values of enums in place of their members."""

    def extra(self, value: Any) -> Iterable[str]:
        """Names of what an instance has beside its fields, where its class takes such values."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: the class's name for it, its keys (the present one last), and its shape."""

    name: str
    key: str
    default: Callable[[], Any] | None
    shape: Shape
    sources: tuple[Source, ...]
    structural: bool
    """Whether its value keeps its identity while it is edited: a model, a list, a dict, a text."""

    def meant(self, version: int | None) -> Any:
        """The default that a step sets where a document is of an older version, as plain data; else `NOTHING`."""
        steps = [source for source in self.sources if source.default is not None and source.default[0] > (version or 0)]
        if version is None or not steps:
            return NOTHING
        source = steps[0]  # the oldest: with a value there, later steps have nothing to set
        assert source.default is not None
        try:
            value = source.convert(source.default[1].value)
        except Exception as error:
            raise InvalidModel(f"{self.name}: its default cannot be converted: {error}") from error
        if isinstance(value, (dict, list)):
            raise InvalidModel(f"{self.name}: a default is a single value, also when it is converted")
        return value


@dataclass(slots=True)
class RecordShape:
    """A map with known fields. Its other keys are left alone."""

    model: type
    kind: Kind
    versions: Versions | None = None
    fields: list[Field] = field(default_factory=list)

    def tags(self) -> dict[str, frozenset[Any]]:
        """The keys of fields that have one of a few values, by which a union can tell records apart."""
        return {
            field.key: frozenset(stored for _, stored in field.shape.members)
            for field in self.fields
            if isinstance(field.shape, Choice)
        }

    def field(self, name: str) -> Field:
        """The field with a name. Raises `LookupError`."""
        for found in self.fields:
            if found.name == name:
                return found
        raise LookupError(f"{self.model.__name__} has no field {name!r}")

    def accepts(self, value: Any) -> bool:
        return isinstance(value, self.model)

    # Reading

    def read(self, stored: Any, place: Place) -> tuple[Any, MapNode]:
        if not isinstance(stored, dict):
            raise misfit(stored, "a map")
        place.check_depth()
        reading = _Reading(self, stored, place)
        for found in self.fields:
            reading.read(found)
        return reading.build(), MapNode(reading.entries, reading.built, is_record=True)

    # Writing

    def write(self, value: Any, path: Path) -> MapNode:
        check_depth(path)
        if not isinstance(value, self.model):
            raise InvalidValue(f"a {self.model.__name__} is needed, not a {type(value).__name__}", path)
        for name in self.kind.extra(value):
            raise InvalidValue(
                f"{self.model.__name__} has no field of this name, and only fields are stored", (*path, name)
            )
        values = {field.name: getattr(value, field.name, NOTHING) for field in self.fields}
        present = {name: found for name, found in values.items() if found is not NOTHING}
        checked = self._checked(present, path)
        entries = {
            field.key: Entry(
                field.shape.write((values if field.structural else checked)[field.name], (*path, field.key))
            )
            for field in self.fields
            if field.name in present
        }
        return MapNode(entries, value, is_record=True)

    def _checked(self, values: dict[str, Any], path: Path) -> dict[str, Any]:
        try:
            return self.kind.checked(self.model, values)
        except Rejected as error:
            # A part of a model cannot be checked as a whole; what is not there stays as it is.
            reasons = [(name, why) for name, why in error.reasons if name is None or name in values]
            if not reasons:
                return values
            name = reasons[0][0]
            at = next((field.key for field in self.fields if field.name == name), None)
            raise InvalidValue(str(Rejected(reasons)), path if at is None else (*path, at)) from error


class _Reading:
    """One map while it is read."""

    def __init__(self, shape: RecordShape, stored: dict[str, Any], place: Place) -> None:
        self.shape = shape
        self.stored = stored
        self.place = place
        self.values: dict[str, Any] = {}
        self.entries: dict[str, Entry] = {}
        self.built: Any = None

    def read(self, field: Field) -> None:
        found = self._source(field)
        if found is None:
            self._absent(field)
            return
        source, raw = found
        older = tuple(source.key for source in field.sources[:-1] if source.key in self.stored)
        # A single value knows no places inside it.
        place = self.place.inside(source.key) if field.structural else self.place
        try:
            value, node = field.shape.read(converted(source, raw), place)
        except Misfit as why:
            self.place.report(source.key, raw, str(why))
            self._default(field, older)
            return
        self.values[field.name] = value
        replaced = tuple(key for key in older if key != source.key)
        self.entries[field.key] = Entry(node, source.key, replaced)

    def _source(self, field: Field) -> tuple[Source, Any] | None:
        """The oldest key that holds something: an old version wrote there after newer ones left it, or at once."""
        present = [source for source in field.sources if source.key in self.stored]
        for source in present:
            raw = self._without_default(source)
            if source is present[-1] or not source.is_default(raw):
                return source, raw
        return None

    def _without_default(self, source: Source) -> Any:
        raw = self.stored[source.key]
        if self.place.root is None or not source.is_default(raw):
            return raw
        others = [rival for rival in self.place.root.rivals(source.key) if not source.is_default(rival)]
        return others[-1] if others else raw

    def _absent(self, field: Field) -> None:
        root = self.place.root
        meant = NOTHING if root is None else field.meant(root.version)
        if meant is not NOTHING:
            try:
                value, node = field.shape.read(meant, self.place.inside(field.key))
            except Misfit as why:
                raise InvalidModel(f"{self.shape.model.__name__}.{field.name}: its SetDefault: {why}") from None
            self.values[field.name], self.entries[field.key] = value, Entry(node)
            return
        if field.default is None:
            self.place.report(field.key, None, "it is required, and not there")
        self._default(field, ())

    def _default(self, field: Field, replaced: tuple[str, ...]) -> None:
        """Take the default for what is not there or does not fit; nothing, where there is none."""
        if field.default is None:
            self.values.pop(field.name, None)
            self.entries.pop(field.key, None)
            return
        value = field.default()
        try:
            node = field.shape.write(value, (field.key,))
        except InvalidValue as error:
            raise InvalidModel(f"{self.shape.model.__name__}.{field.name}: its default does not fit: {error}") from None
        self.values[field.name] = value
        self.entries[field.key] = Entry(node, None, replaced)

    def build(self) -> Any:
        """The instance; what its class's own rules refuse is reported too."""
        model, kind = self.shape.model, self.shape.kind
        for _ in range(len(self.shape.fields) + 1):
            try:
                self.built = kind.build(model, self.values)
            except Rejected as error:
                if not self._refuse(error):
                    break
                continue
            return self.built
        self.built = kind.part(model, self.values)
        return self.built

    def _refuse(self, error: Rejected) -> bool:
        """Report what was refused and take defaults there; whether another try has a chance."""
        again = False
        reasons = [name for name, _ in error.reasons if name is None or name in self.values]
        for name in dict.fromkeys(reasons):
            why = "; ".join(reason for other, reason in error.reasons if other == name)
            if name is None:
                self.place.problems.append(Problem(self.place.path, self.stored, why))
                continue
            field = self.shape.field(name)
            entry = self.entries[field.key]
            if entry.stored is None:  # its default was refused: there is nothing else to try
                self.place.report(field.key, None, why)
                self.values.pop(field.name)
                del self.entries[field.key]
                continue
            self.place.report(entry.stored, self.stored[entry.stored], why)
            self._default(field, tuple(key for key in (*entry.replaced, entry.stored) if key != field.key))
            again = True
        return again


def converted(source: Source, raw: Any) -> Any:
    """The present value of what is at a key of a field. Raises `Misfit`."""
    try:
        return source.convert(raw)
    except Exception as error:  # the application's own function: whatever it raises, the value stays
        raise Misfit(f"it cannot be converted: {error}") from error


def unreadable(model: type, name: str) -> UnreadableField:
    """What reading a field raises that has no value."""
    return UnreadableField(f"{model.__name__}.{name}: nothing that fits is stored there; see `problems`", name)
