"""Who is there, and whether this device is connected, as signals of Qt."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Literal

from lichen import Engine as AsyncEngine
from lichen.api.events import DocumentChanged, PathsChanged, PresenceChanged, SpaceChanged, SpaceLeft
from lichen.blocking import Deliver, Engine, Space
from lichen.ids import DeviceKey, SpaceId
from PySide6.QtCore import QObject, Signal

from lichen_adapters.qt.threads import refuse_other_threads

Connection = Literal["offline", "connecting", "connected"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another device of a space."""

    device: DeviceKey
    name: str
    """What its member calls itself; empty while that is not known."""
    path: str
    """Over what it is reached: `websocket`, `webrtc`, `memory`; `none` where it is not."""
    via: Literal["direct", "relay", "none"]

    @property
    def here(self) -> bool:
        """It can be reached now."""
        return self.via != "none"


@dataclass(frozen=True, slots=True)
class _Standing:
    """How this device stands to the others of a space."""

    peers: tuple[Peer, ...] = ()
    connection: Connection = "offline"


class SpaceSignals(QObject):
    """Tells of a space: who else is there and what they show, and whether this device is connected.

    It asks nothing of the engine that would wait. Use it on the thread that `deliver` delivers to. It ends with its
    parent, or when nobody holds it.
    """

    peers_changed = Signal(tuple)
    """`tuple[Peer, ...]`: every other device of the space, by key."""
    connection_changed = Signal(str)
    """`Connection`: `connected` with a link to an address that is dialled, or to a device of the space; `connecting`
    while one is dialled for."""
    presence_changed = Signal(PresenceChanged)
    """`PresenceChanged`: what a device shows in a document, or that it has gone."""

    def __init__(self, engine: Engine, space: Space, deliver: Deliver, *, parent: QObject | None = None) -> None:
        """Raises `EngineMisuse` for an engine that is closed."""
        super().__init__(parent)
        self._standing = _Standing()
        self._events = engine.events_of(partial(_happenings, engine.asynchronous, space.id))
        held = weakref.WeakMethod(self._told)

        def tell(happened: _Standing | PresenceChanged) -> None:
            told = held()
            if told is not None:
                told(happened)

        self._end = self._events.call(tell, deliver)
        self.destroyed.connect(partial(self._end))

    @property
    def peers(self) -> tuple[Peer, ...]:
        """As told last."""
        return self._standing.peers

    @property
    def connection(self) -> Connection:
        """As told last."""
        return self._standing.connection

    def close(self) -> None:
        """Tell no more; idempotent."""
        refuse_other_threads(self, "the signals of a space")
        self._end()

    def _told(self, happened: _Standing | PresenceChanged) -> None:
        if isinstance(happened, PresenceChanged):
            self.presence_changed.emit(happened)
            return
        before, self._standing = self._standing, happened
        if happened.peers != before.peers:
            self.peers_changed.emit(happened.peers)
        if happened.connection != before.connection:
            self.connection_changed.emit(happened.connection)


async def _happenings(engine: AsyncEngine, space: SpaceId) -> AsyncGenerator[_Standing | PresenceChanged, None]:
    """What the signals tell, made on the engine's loop. It ends when the space is left."""
    async with aclosing(engine.events()) as events:
        standing = _Standing()
        if (now := _standing(engine, space)) != standing:
            yield (standing := now)
        async for event in events:
            match event:
                case SpaceLeft(left) if left == space:
                    yield _Standing()
                    return
                case PresenceChanged() if event.space == space:
                    yield event
                case PathsChanged() | SpaceChanged() | DocumentChanged() if _concerns(event, space, standing):
                    if (now := _standing(engine, space)) != standing:
                        yield (standing := now)


def _concerns(event: PathsChanged | SpaceChanged | DocumentChanged, space: SpaceId, standing: _Standing) -> bool:
    """A document may be the card, which has the names; it is asked for while one is not known."""
    if isinstance(event, DocumentChanged):
        return event.space == space and not all(peer.name for peer in standing.peers)
    return isinstance(event, PathsChanged) or event.space == space


def _standing(engine: AsyncEngine, space: SpaceId) -> _Standing:
    name_of = engine.space(space).name_of
    peers = tuple(Peer(one.device, name_of(one.device), one.path, one.via) for one in engine.paths(space))
    states = {connection.state for connection in engine.connections}
    if "connected" in states or any(peer.here for peer in peers):
        return _Standing(peers, "connected")
    return _Standing(peers, "connecting" if "connecting" in states else "offline")
