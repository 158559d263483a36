"""The version that a document says it is."""

from __future__ import annotations

from typing import Any

from lichen_crdt.typed.nodes import Problem
from lichen_crdt.typed.records import NOTHING, RecordShape
from lichen_crdt.typed.steps import Drop, Versions
from lichen_crdt.views import Map, plain


class Stamp:
    """The version of a document, the highest that concurrent writers left, beside that of a model."""

    __slots__ = ("_shape", "_source", "_stored", "problems", "version")

    def __init__(self, source: Map, shape: RecordShape) -> None:
        self._source = source
        self._shape = shape
        self._stored: int | None = None
        self.version: int | None = None
        """The document's version; that of the model if the document is empty; None if the model has none."""
        self.problems: list[Problem] = []
        if shape.versions is not None:
            found = [plain(conflict.value) for conflict in source.conflicts(shape.versions.key)]
            self._stored = max(filter(_is_version, found), default=None)
            if found and self._stored is None:
                self.problems.append(Problem((shape.versions.key,), found[-1], "it is no version: 1, 2, ..."))
            self.version = self._stored or (1 if len(source) else shape.versions.number)

    @property
    def is_newer(self) -> bool:
        """Whether the document is of a newer version than the model."""
        versions = self._shape.versions
        return versions is not None and self.version is not None and self.version > versions.number

    def write(self) -> bool:
        """Make the document one of the model's version, if it is older; whether anything was written.

        Every write here is an assignment of the same value by whoever does it, or a deletion.
        """
        versions = self._shape.versions
        if versions is None or (self._stored is not None and self._stored >= versions.number):
            return False
        self._set_defaults()
        self._drop(versions)
        self._source[versions.key] = versions.number
        return True

    def _set_defaults(self) -> None:
        for field in self._shape.fields:
            if any(source.key in self._source for source in field.sources):
                continue
            meant = field.meant(self.version)
            if meant is not NOTHING:
                self._source[field.key] = meant

    def _drop(self, versions: Versions) -> None:
        for number, step in versions.of(Drop):
            if self.version is not None and number > self.version and step.key in self._source:
                del self._source[step.key]


def _is_version(value: Any) -> bool:
    return type(value) is int and value >= 1
