"""Who is there, and which direct paths to open.

A relay tells each device which others of the same space it is connected to. For each of them without a direct link the
device with the lower key offers one; a failed attempt is repeated after a pause that doubles, while both stay there.
"""

from __future__ import annotations

from dataclasses import dataclass

from lichen.core.effects import ConnectDirect, Send, TellPeers
from lichen.core.links import LinkState
from lichen.core.space import SpaceState
from lichen.core.state import NodeState
from lichen.ids import DeviceKey
from lichen.wire.frames import Peers


@dataclass(slots=True)
class _Attempt:
    running: bool
    pause_s: float
    again_at: float


class Direct:
    """Decides on direct paths."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._enabled = False
        self._attempts: dict[DeviceKey, _Attempt] = {}

    # At a relay

    def tell_peers(self, space: SpaceState) -> None:
        """Tell every device of a space which others are there."""
        if not self._state.relay:
            return
        there = [
            (link, on_link)
            for link, on_link in self._state.on_space(space.id)
            if on_link.subscribed and space.log.role_of(link.peer) is not None
        ]
        devices = sorted({link.peer for link, _ in there})
        for link, on_link in there:
            others = tuple(device for device in devices if device != link.peer)
            if others != on_link.online:
                on_link.online = others
                self._state.emit(Send(link.id, Peers(space.id, others)))

    # At a device

    def peers(self, link: LinkState, message: Peers) -> None:
        """A relay said who is there."""
        space = self._state.spaces.get(message.space)
        if space is None or not link.relay:
            return
        link.on(space.id).online = message.devices
        self._state.emit(TellPeers(space.id))
        self.evaluate()

    def enable(self) -> None:
        """Direct paths are wanted from now on."""
        self._enabled = True
        self.evaluate()

    def failed(self, peer: DeviceKey) -> None:
        """An attempt came to nothing."""
        attempt = self._attempts.get(peer)
        if attempt is not None:
            attempt.running = False
            attempt.pause_s = min(attempt.pause_s * 2, self._state.limits.reconnect_max_s)
            attempt.again_at = self._state.now + attempt.pause_s

    def opened(self, peer: DeviceKey) -> None:
        """A direct path is there."""
        self._attempts.pop(peer, None)

    def evaluate(self) -> None:
        """Start whatever attempt is due."""
        if not self._enabled or self._state.relay:
            return
        for peer in self._wanted():
            attempt = self._attempts.get(peer)
            if attempt is None:
                attempt = self._attempts[peer] = _Attempt(False, self._state.limits.reconnect_min_s, 0.0)
            if not attempt.running and attempt.again_at <= self._state.now:
                attempt.running = True
                self._state.emit(ConnectDirect(peer, offers=True))

    def _wanted(self) -> list[DeviceKey]:
        """Peers to which this side offers: there, of a space of ours, above our key, without a direct link."""
        linked = {link.peer for link in self._state.links.values()}
        wanted: dict[DeviceKey, None] = {}
        for space in self._state.spaces.values():
            for _, on_link in self._state.on_space(space.id):
                for peer in on_link.online:
                    if peer > self._state.device and peer not in linked and space.log.role_of(peer) is not None:
                        wanted[peer] = None
        return list(wanted)

    def timers(self) -> list[float]:
        """The moments at which an attempt is due again."""
        if not self._enabled:
            return []
        waiting = {peer: a.again_at for peer, a in self._attempts.items() if not a.running}
        return [waiting[peer] for peer in self._wanted() if peer in waiting]
