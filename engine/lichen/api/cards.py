"""The card of a space: an ordinary sealed document that holds the space's name and what its members call themselves.

The access log is readable to relays, so no name stands in it. The card is the document that the space's first device
creates with the nonce 0, so every member can compute its id.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from lichen.core.space import SpaceState
from lichen.errors import ConfigError
from lichen.ids import DeviceKey, DocId, MemberId, SpaceId
from lichen.runtime.document import OpenDocument
from lichen.wire.changeset import doc_id

CARD_NONCE = bytes(16)
NAME_CHARACTERS = 64
"""Longest name of a space or member that is shown; the rest is cut."""
MOST_MEMBERS = 65_536


def card_of(state: SpaceState) -> DocId | None:
    """The id of a space's card; None while it is not known here who began the space."""
    genesis = state.log.genesis
    return None if genesis is None else _card_id(genesis.space, genesis.author)


@lru_cache(maxsize=1024)  # it is asked for at every edit
def _card_id(space: SpaceId, author: DeviceKey) -> DocId:
    return doc_id(space, author, CARD_NONCE)


def checked_name(name: str, whose: str) -> str:
    """A name as a card takes it: one line, cut to 64 characters. Raises `ConfigError`."""
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name):
        raise ConfigError(f"the name of {whose} holds characters that are no text", hint="choose one line of text")
    return name.strip()[:NAME_CHARACTERS]


class Cards:
    """The names on the cards of every space here, kept up to date."""

    def __init__(self) -> None:
        self._names: dict[SpaceId, str] = {}
        self._members: dict[SpaceId, dict[MemberId, str]] = {}

    def name(self, space: SpaceId) -> str:
        """The space's name, or nothing."""
        return self._names.get(space, "")

    def members(self, space: SpaceId) -> Mapping[MemberId, str]:
        """What the members call themselves."""
        return self._members.get(space, {})

    def forget(self, space: SpaceId) -> None:
        """The space is not here any more."""
        self._names.pop(space, None)
        self._members.pop(space, None)

    def read(self, card: OpenDocument) -> None:
        """Take the names from a card; whatever has another shape than expected is left out."""
        content = card.crdt.to_py()
        title = content.get("title")
        self._names[card.space] = str(title)[:NAME_CHARACTERS] if title else ""
        members = content.get("members")
        names: dict[MemberId, str] = {}
        for key, value in list(members.items())[:MOST_MEMBERS] if isinstance(members, dict) else ():
            if len(key) == 32 and isinstance(value, str) and all(c in "0123456789abcdef" for c in key):
                names[MemberId(bytes.fromhex(key))] = value[:NAME_CHARACTERS]
        self._members[card.space] = names
