"""Authors: a person or a device as the set of actors that it wrote under.

Every process start writes under a new actor, so an actor names one run of one program. Who an author is, only the
application knows: a document cannot prove it, and `Authors` is what the application tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, init=False)
class Authors:
    """Names and the actors that each of them wrote under; an actor belongs to at most one name.

    `Authors({"Ann": [laptop, phone], "Ben": [desk]})`. A value: `with_actor` gives a new one. An actor that is in
    no set has no author: `of` answers None.
    """

    _names: Mapping[bytes, str]

    def __init__(self, names: Mapping[str, Iterable[bytes]] | None = None) -> None:
        """Raises `ValueError` for an actor that has two names, `TypeError` for one that is not `bytes`."""
        found: dict[bytes, str] = {}
        for name, actors in (names or {}).items():
            for actor in actors:
                if not isinstance(actor, bytes):  # of a single actor they are the bytes, which are int
                    raise TypeError("the actors of a name are several `bytes`: put a single one in a tuple")
                if found.setdefault(actor, name) != name:
                    raise ValueError(f"the actor {actor.hex()} is of {found[actor]!r}, and cannot be of {name!r} too")
        object.__setattr__(self, "_names", found)

    def with_actor(self, name: str, actor: bytes) -> Authors:
        """These authors, and `actor` as one more of `name`; `ValueError` if it is another's."""
        return Authors({**{other: self.actors(other) for other in self}, name: self.actors(name) | {actor}})

    def of(self, actor: bytes) -> str | None:
        """Whose actor this is, None if that is not known."""
        return self._names.get(actor)

    def actors(self, name: str) -> frozenset[bytes]:
        """Every actor of an author, none if there is no such author."""
        return frozenset(actor for actor, owner in self._names.items() if owner == name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(self._names.values()))

    def __hash__(self) -> int:
        return hash(frozenset(self._names.items()))
