"""What other devices show in documents just now: cursors, who is here."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import cbor2

from lichen.api.events import PresenceChanged
from lichen.core.effects import TellPresence
from lichen.errors import ConfigError, LimitExceeded
from lichen.ids import DeviceKey, DocId, SpaceId
from lichen.wire import cbor

PRESENCE_BYTES = 8 * 1024
"""Largest presence data, as CBOR."""


def encoded(data: Mapping[str, object]) -> bytes:
    """Presence data as it is sent. Raises `LimitExceeded`, and `ConfigError` for what others would not read."""
    try:
        payload = cbor2.dumps(dict(data))
        cbor.loads(payload)
    except (ValueError, RecursionError, cbor2.CBOREncodeError) as error:
        hint = "use maps, lists, text, bytes, numbers, True, False and None, a few levels deep"
        raise ConfigError(f"this cannot be shown as presence: {error}", hint=hint) from error
    if len(payload) > PRESENCE_BYTES:
        raise LimitExceeded(f"presence of {len(payload)} bytes is larger than {PRESENCE_BYTES}")
    return payload


class Presences:
    """The presence of every other device, by document."""

    def __init__(self) -> None:
        self._there: dict[tuple[SpaceId, DocId], dict[DeviceKey, Mapping[str, Any]]] = {}

    def of(self, space: SpaceId, doc: DocId) -> dict[DeviceKey, Mapping[str, Any]]:
        """Who is in a document, and what each shows."""
        return dict(self._there.get((space, doc), {}))

    def forget(self, space: SpaceId) -> None:
        """The space is not here any more."""
        self._there = {where: there for where, there in self._there.items() if where[0] != space}

    def told(self, effect: TellPresence) -> PresenceChanged:
        """A device shows something else; what is no map counts as nothing."""
        where = effect.space, effect.doc
        data: Any = None
        if effect.payload is not None:
            with contextlib.suppress(ValueError):
                data = cbor.loads(effect.payload)
        if isinstance(data, dict):
            self._there.setdefault(where, {})[effect.device] = data
        else:
            data = None
            self._there.get(where, {}).pop(effect.device, None)
            if not self._there.get(where):
                self._there.pop(where, None)
        return PresenceChanged(effect.space, effect.doc, effect.device, data)
