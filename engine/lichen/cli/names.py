"""Finding spaces and documents by what a person types: an id, its beginning, or a name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lichen.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from lichen.api.document import Document
    from lichen.api.engine import Engine
    from lichen.api.space import DocumentInfo, Space

SHORT = 12
"""How many hexadecimal digits of an id are shown in lists."""


def find_space(engine: Engine, wanted: str | None) -> Space:
    """The space with this id, beginning of an id, or name; without one, the only space there is."""
    spaces = engine.spaces
    if not wanted:
        if len(spaces) == 1:
            return spaces[0]
        raise ConfigError(
            f"there are {len(spaces)} spaces in this store: name one", hint="lichen space list shows them"
        )
    found = [space for space in spaces if space.name == wanted] or [
        space for space in spaces if space.id.hex().startswith(wanted.lower())
    ]
    if not found:
        raise NotFound(f"no space here is called or begins with {wanted!r}", hint="lichen space list shows them")
    if len(found) > 1:
        raise ConfigError(f"{len(found)} spaces match {wanted!r}", hint=_which(space.id for space in found))
    return found[0]


async def find_document(engine: Engine, wanted: str) -> Document:
    """The document with this id, beginning of an id, or title."""
    if not wanted:
        raise ConfigError("no document was named", hint="lichen doc list shows them")
    every: list[tuple[Space, DocumentInfo]] = [
        (space, info) for space in engine.spaces for info in await space.documents()
    ]
    found = [(space, info) for space, info in every if info.title == wanted] or [
        (space, info) for space, info in every if info.id.hex().startswith(wanted.lower())
    ]
    if not found:
        raise NotFound(f"no document here is called or begins with {wanted!r}", hint="lichen doc list shows them")
    if len(found) > 1:
        raise ConfigError(f"{len(found)} documents match {wanted!r}", hint=_which(info.id for _, info in found))
    space, info = found[0]
    return await space.document(info.id)


def _which(ids: Iterable[bytes]) -> str:
    return "name one by its id: " + ", ".join(found.hex()[:SHORT] for found in ids)
