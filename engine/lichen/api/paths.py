"""How the other devices of a space can be reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lichen.core.space import SpaceState
from lichen.core.state import NodeState
from lichen.ids import DeviceKey
from lichen.runtime.driver import Driver


@dataclass(frozen=True, slots=True)
class PeerPath:
    """One other device of a space."""

    device: DeviceKey
    path: str
    """The kind of path in use: `websocket`, `webrtc`, `memory`, or `none`."""
    via: Literal["direct", "relay", "none"]
    bytes_sent: int
    """Over its direct link; 0 through a relay, whose link is shared."""
    bytes_received: int


def peer_paths(state: NodeState, driver: Driver, space: SpaceState) -> list[PeerPath]:
    """Every device of a space but this one, by key."""
    relayed = {
        device: link.path for link, on_link in state.on_space(space.id) if link.relay for device in on_link.online
    }
    others = sorted(d.key for m in space.log.members().values() for d in m.devices if d.key != state.device)
    return [_path(driver, device, relayed) for device in others]


def _path(driver: Driver, device: DeviceKey, relayed: dict[DeviceKey, str]) -> PeerPath:
    direct = [link for link in driver.links.values() if link.peer == device]
    if direct:
        sent = sum(link.bytes_sent for link in direct)
        received = sum(link.bytes_received for link in direct)
        return PeerPath(device, direct[-1].channel.path, "direct", sent, received)
    if device in relayed:
        return PeerPath(device, relayed[device], "relay", 0, 0)
    return PeerPath(device, "none", "none", 0, 0)
