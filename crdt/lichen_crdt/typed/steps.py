"""Versions of a model, and the steps from each to the next.

A step is read through, and does not rewrite the document: what an older version wrote stays where it is until a newer
one writes that field. Why: two devices that migrate at once would each write every field, and their copies would win
over what users wrote meanwhile. See `docs/decisions/0046-typed-views-and-migrations.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lichen_crdt.errors import InvalidModel

VERSION_KEY = "schema_version"
"""Where the version of a document is stored, unless the model says otherwise."""

_ATTRIBUTE = "__lichen_versions__"
_M = TypeVar("_M", bound=type)


@dataclass(frozen=True, slots=True)
class Rename:
    """The field at the key `old` is at `new` now. A text, list, map or counter stays where it is, and is shared with
    older versions; any other value moves when a newer version writes it."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Convert:
    """The value at `new` is `function` of the one at `old`, which is a single value: no text, list or map.

    `function` takes plain data and gives plain data (a dict or list too), depends on nothing else, and has no effect.
    """

    old: str
    new: str
    function: Callable[[Any], Any]  # of the one type that is at `old`


@dataclass(frozen=True, slots=True)
class WrapItems:
    """The items of the list at `key` are maps now; one that is not reads as a map with it at `field`."""

    key: str
    field: str


@dataclass(frozen=True, slots=True)
class SetDefault:
    """Where older versions stored nothing at `key`, `value` is meant; it loses to whatever else was written there.

    `value` is None, a bool, a number, a string or bytes. Only for the model of the whole document.
    """

    key: str
    value: bool | int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Drop:
    """What older versions stored at `key` is deleted. Only for the model of the whole document."""

    key: str


Step = Rename | Convert | WrapItems | SetDefault | Drop
"""What leads from one version of a model to the next."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The version that a model is, how it came there, and where documents say theirs."""

    number: int
    steps: tuple[tuple[int, Step], ...]
    """Each with the version it leads to, oldest first."""
    key: str

    def sources(self, key: str) -> tuple[Source, ...]:
        """The keys of a field, oldest first, the present one last."""
        found = [Source(key, (), self._default(key))]
        functions: tuple[Callable[[Any], Any], ...] = ()
        for _, step in reversed(self.steps):
            if isinstance(step, (Rename, Convert)) and step.new == key:
                functions = (step.function, *functions) if isinstance(step, Convert) else functions
                key = step.old
                found.insert(0, Source(key, functions, self._default(key)))
        return tuple(found)

    def _default(self, key: str) -> tuple[int, SetDefault] | None:
        return next(((version, step) for version, step in self.of(SetDefault) if step.key == key), None)

    def wraps(self, key: str) -> str | None:
        """The field that items of the list at `key` are read into, if they once were no maps."""
        keys = {source.key for source in self.sources(key)}
        found = (step.field for _, step in self.steps if isinstance(step, WrapItems) and step.key in keys)
        return next(found, None)

    def of(self, kind: type[Any]) -> Iterator[tuple[int, Any]]:
        """The steps of one kind, with the versions they lead to."""
        return ((version, step) for version, step in self.steps if isinstance(step, kind))


@dataclass(frozen=True, slots=True)
class Source:
    """A key of a field, and what makes the field's present value of the one there."""

    key: str
    functions: tuple[Callable[[Any], Any], ...] = ()
    default: tuple[int, SetDefault] | None = None
    """The version from which on a default is stored there, and which."""

    def is_default(self, stored: Any) -> bool:
        """Whether this is the default of the key, which loses to whatever else was written."""
        if self.default is None:
            return False
        value = self.default[1].value
        return type(stored) is type(value) and bool(stored == value)

    def convert(self, stored: Any) -> Any:
        """The present value, as plain data. Raises whatever the functions do, and `TypeError` for an object."""
        if self.functions and isinstance(stored, (dict, list)):
            raise TypeError("a single value is needed here, to convert it")
        for function in self.functions:
            stored = function(stored)
        return stored


def versioned(versions: Mapping[int, Sequence[Step]], *, key: str = VERSION_KEY) -> Callable[[_M], _M]:
    """Say which version a model is, and the steps from each version to the next: `{2: [Rename("name", "title")]}`.

    The version is the highest number, 1 if there is none. A key is used once: what it meant in one version it never
    means otherwise in another. Raises `InvalidModel` for steps that break a rule.
    """
    numbers = sorted(versions)
    if numbers != list(range(2, len(numbers) + 2)):
        raise InvalidModel(f"versions are numbered from 2 on without a gap, not {numbers}")
    if not isinstance(key, str) or not key:
        raise InvalidModel("the key of the version is a string")
    steps = tuple((number, step) for number in numbers for step in versions[number])
    for _, step in steps:
        _check(step)
    _check_keys([step for _, step in steps])
    declared = Versions(len(numbers) + 1, steps, key)

    def mark(model: _M) -> _M:
        setattr(model, _ATTRIBUTE, declared)
        return model

    return mark


def versions_of(model: type) -> Versions | None:
    """What `versioned` declared for a model."""
    found = getattr(model, _ATTRIBUTE, None)
    return found if isinstance(found, Versions) else None


def _check(step: Step) -> None:
    match step:
        case Convert(function=function) if not callable(function):
            raise InvalidModel(f"{step}: a function is needed")
        case Rename() | Convert():
            keys = [step.old, step.new]
        case WrapItems():
            keys = [step.key, step.field]
        case SetDefault(value=value) if not (value is None or isinstance(value, (bool, int, float, str, bytes))):
            raise InvalidModel(
                f"{step}: a default is a single value, since two lists that two devices make would clash"
            )
        case SetDefault() | Drop():
            keys = [step.key]
        case _:
            raise InvalidModel(f"{step!r} is no step: Rename, Convert, WrapItems, SetDefault or Drop is one")
    if not all(isinstance(key, str) and key for key in keys):
        raise InvalidModel(f"{step}: keys are strings")


def _check_keys(steps: list[Step]) -> None:
    left: set[str] = set()
    used: set[str] = set()
    for step in steps:
        match step:
            case Rename(old=old, new=new) | Convert(old=old, new=new):
                if old == new or new in used or new in left or old in left:
                    raise InvalidModel(f"{step}: a key is used once, so that late writes of an old version are known")
                left.add(old)
                used |= {old, new}
            case Drop(key=key):
                if key in left:
                    raise InvalidModel(f"{step}: the key is gone already")
                left.add(key)
                used.add(key)
            case WrapItems(key=key) | SetDefault(key=key):
                if key in left:
                    raise InvalidModel(f"{step}: the key is gone already")
                used.add(key)


def check_model(versions: Versions, model: str, keys: Sequence[str]) -> None:
    """Whether the steps fit the keys of a model. Raises `InvalidModel`."""
    if versions.key in keys:
        raise InvalidModel(f"{model}: the key {versions.key!r} is that of the version")
    moved = {step.old for _, step in versions.steps if isinstance(step, (Rename, Convert))}
    gone = moved | {step.key for _, step in versions.of(Drop)}
    if back := sorted(gone & {*keys}):
        raise InvalidModel(f"{model}: a step left the key {back[0]!r}, and a field has it still")
    for _, step in versions.steps:
        if isinstance(step, Drop):
            continue
        leads_to = step.new if isinstance(step, (Rename, Convert)) else step.key
        if leads_to not in keys and leads_to not in gone:
            raise InvalidModel(f"{model}: {step} leads to no field")
