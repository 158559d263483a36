"""Presence and signals: sealed and signed messages that nobody stores.

A message is taken once: its counter must be above the last one of the same author and session. Devices do not pass
presence on; a relay does, to the devices of the space that are there. What is wrong inside the seal is its author's
doing: it is passed over, and never held against the link, since a relay cannot look inside.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from lichen.core.effects import DeliverSignal, Send, TellPresence
from lichen.core.links import LinkState
from lichen.core.space import SpaceState
from lichen.core.state import NodeState
from lichen.crypto.sealing import open_ephemeral, seal_ephemeral
from lichen.crypto.signing import verify_many
from lichen.errors import InvalidSignature, ProtocolError
from lichen.ids import DeviceKey, DocId, Session, SpaceId
from lichen.wire import frames
from lichen.wire.ephemeral import NO_DOC, TO_ALL, Ephemeral, EphemeralKind

MANY_AUTHORS = 4_096
"""Most authors of ephemeral messages remembered at once; the oldest is forgotten first."""
AUTHOR_PLACES = 64
"""Most documents in which one device is shown at once: it chooses their ids, and must leave room for others."""


@dataclass(slots=True)
class _Seen:
    payload: bytes
    expires: float


class Presence:
    """Sends own presence and signals, and takes those of others."""

    def __init__(self, state: NodeState, seed: bytes) -> None:
        self._state = state
        self._seed = seed
        self._counter = 0
        self._last: dict[tuple[DeviceKey, Session], int] = {}
        self._own: dict[tuple[SpaceId, DocId], bytes] = {}
        self._others: dict[tuple[SpaceId, DocId, DeviceKey], _Seen] = {}
        self._renew_at: float | None = None

    # Out

    def set(self, space: SpaceId, doc: DocId, payload: bytes | None) -> None:
        """Set or end own presence in a document, and tell everyone there."""
        if payload is None:
            self._own.pop((space, doc), None)
        else:
            self._own[space, doc] = payload
        self._tell(space, doc, payload or b"")
        self._renew_at = self._state.now + self._state.limits.presence_renew_s if self._own else None

    def renew(self) -> None:
        """Repeat own presence, so that it does not fade for others; drop theirs when it has."""
        if self._renew_at is not None and self._renew_at <= self._state.now:
            self._renew_at = self._state.now + self._state.limits.presence_renew_s
            for (space, doc), payload in self._own.items():
                self._tell(space, doc, payload)
        for key in [key for key, seen in self._others.items() if seen.expires <= self._state.now]:
            del self._others[key]
            self._state.emit(TellPresence(*key, None))

    def left(self, space: SpaceId) -> None:
        """The space is not here any more: forget who was where in it."""
        self._own = {key: payload for key, payload in self._own.items() if key[0] != space}
        self._others = {key: seen for key, seen in self._others.items() if key[0] != space}

    def newcomer(self, link: LinkState, space: SpaceState) -> None:
        """Someone came: show them who is here."""
        if link.congested:
            return
        for (space_id, doc), payload in self._own.items():
            if space_id == space.id:
                self._send(space, doc, payload, EphemeralKind.PRESENCE, TO_ALL, [link])

    def timers(self) -> list[float]:
        """The moments at which `renew` has something to do."""
        due = [seen.expires for seen in self._others.values()]
        return [*due, self._renew_at] if self._renew_at is not None else due

    def signal(self, peer: DeviceKey, payload: bytes) -> bool:
        """Send a signal to a device by any relay that is connected to it. False when there is none."""
        for space in self._state.spaces.values():
            links = [link for link, on_link in self._state.on_space(space.id) if peer in on_link.online]
            if links and space.log.role_of(peer) is not None:
                self._send(space, NO_DOC, payload, EphemeralKind.SIGNAL, peer, links[:1])
                return True
        return False

    def _tell(self, space_id: SpaceId, doc: DocId, payload: bytes) -> None:
        space = self._state.spaces.get(space_id)
        if space is None:
            return
        links = [
            link
            for link, on_link in self._state.on_space(space_id)
            if on_link.greeted and not link.congested and self._state.may_serve(link, space)
        ]
        self._send(space, doc, payload, EphemeralKind.PRESENCE, TO_ALL, links)

    def _send(
        self,
        space: SpaceState,
        doc: DocId,
        payload: bytes,
        kind: EphemeralKind,
        to: DeviceKey,
        links: list[LinkState],
    ) -> None:
        epoch = space.log.eligible_epoch(space.keys)
        if epoch is None or not links:
            return
        self._counter += 1
        counter = self._counter
        message = seal_ephemeral(
            kind=kind,
            space=space.id,
            doc=doc,
            session=self._state.session,
            counter=counter,
            to=to,
            payload=payload,
            epoch_key=space.keys[epoch],
            signer=self._state.identity.signer,
            random=hashlib.sha256(self._seed + counter.to_bytes(8, "big")).digest(),
        )
        body = message.encode()
        for link in links:
            self._state.emit(Send(link.id, frames.Ephemeral(body)))

    # In

    def arrived(self, link: LinkState, message: frames.Ephemeral) -> None:
        """A message came: forward it at a relay, take it at a device it is meant for."""
        ephemeral = Ephemeral.decode(message.body)
        space = self._state.spaces.get(ephemeral.space)
        if space is None or not self._state.may_listen(link, space):
            return
        if ephemeral.author == self._state.device or not self._fresh(ephemeral):
            return
        if space.log.role_of(ephemeral.author) is None:
            return
        if not verify_many([(ephemeral.author, ephemeral.signed_message, ephemeral.signature)])[0]:
            raise InvalidSignature("a presence message's signature does not verify")
        self._remember(ephemeral)
        if self._state.relay:
            self._forward(link, space, ephemeral, message)
        else:
            self._take(space, ephemeral)

    def _fresh(self, ephemeral: Ephemeral) -> bool:
        return ephemeral.counter > self._last.get((ephemeral.author, ephemeral.session), 0)

    def _remember(self, ephemeral: Ephemeral) -> None:
        self._last.pop((ephemeral.author, ephemeral.session), None)
        self._last[ephemeral.author, ephemeral.session] = ephemeral.counter
        if len(self._last) > MANY_AUTHORS:
            del self._last[next(iter(self._last))]

    def _forward(self, source: LinkState, space: SpaceState, ephemeral: Ephemeral, message: frames.Ephemeral) -> None:
        for link, on_link in self._state.on_space(space.id):
            addressed = ephemeral.to in (TO_ALL, link.peer)
            if link is not source and addressed and on_link.subscribed and not link.congested:
                self._state.emit(Send(link.id, message))

    def _take(self, space: SpaceState, ephemeral: Ephemeral) -> None:
        if ephemeral.to not in (TO_ALL, self._state.device):
            return
        key = space.keys.get(ephemeral.epoch)
        if key is None:
            return
        try:
            payload = open_ephemeral(ephemeral, key)
        except ProtocolError:
            return
        if ephemeral.kind is EphemeralKind.SIGNAL:
            self._state.emit(DeliverSignal(ephemeral.author, payload))
        else:
            self._show(space, ephemeral, payload)

    def _show(self, space: SpaceState, ephemeral: Ephemeral, payload: bytes) -> None:
        where = (space.id, ephemeral.doc, ephemeral.author)
        before = self._others.get(where)
        if not payload:
            if self._others.pop(where, None):
                self._state.emit(TellPresence(*where, None))
            return
        if before is None and not self._has_room(ephemeral.author):
            return
        self._others[where] = _Seen(payload, self._state.now + self._state.limits.presence_s)
        if before is None or before.payload != payload:
            self._state.emit(TellPresence(*where, payload))

    def _has_room(self, author: DeviceKey) -> bool:
        places = sum(shown == author for _, _, shown in self._others)
        return places < AUTHOR_PLACES and len(self._others) < MANY_AUTHORS
