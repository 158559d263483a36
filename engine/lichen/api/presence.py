"""What other devices show in documents just now: cursors, who is here."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import cbor2

from lichen.api.events import PresenceChanged
from lichen.core.effects import TellPresence
from lichen.ids import DeviceKey, DocId, SpaceId


class Presences:
    """The presence of every other device, by document."""

    def __init__(self) -> None:
        self._there: dict[tuple[SpaceId, DocId], dict[DeviceKey, Mapping[str, Any]]] = {}

    def of(self, space: SpaceId, doc: DocId) -> dict[DeviceKey, Mapping[str, Any]]:
        """Who is in a document, and what each shows."""
        return dict(self._there.get((space, doc), {}))

    def told(self, effect: TellPresence) -> PresenceChanged:
        """A device shows something else; what is no map counts as nothing."""
        there = self._there.setdefault((effect.space, effect.doc), {})
        data: Any = None
        if effect.payload is not None:
            with contextlib.suppress(Exception):  # cbor2 raises errors of many kinds on what a peer may send
                data = cbor2.loads(effect.payload)
        if isinstance(data, dict):
            there[effect.device] = data
        else:
            there.pop(effect.device, None)
            data = None
        return PresenceChanged(effect.space, effect.doc, effect.device, data)
