"""The state that the parts of a node share, and the effects that they gather."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from lichen.config import Limits
from lichen.core.access.log import AccessLog
from lichen.core.effects import Effect
from lichen.core.links import LinkState, SpaceOnLink
from lichen.core.space import SpaceState
from lichen.crypto.identity import Identity
from lichen.ids import DeviceKey, Session, SpaceId
from lichen.wire.frames import BLINDED_BYTES
from lichen.wire.operation import Role


@dataclass(slots=True)
class NodeState:
    """Everything that one node holds in memory, shared by the parts of `Node`."""

    identity: Identity
    session: Session
    store: bytes
    """16 bytes naming this node's store."""
    relay: bool
    limits: Limits
    token: bytes = b""
    """What a relay asks of devices that bring it a new space; empty for none."""
    spaces: dict[SpaceId, SpaceState] = field(default_factory=dict)
    links: dict[int, LinkState] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    now: float = 0.0
    """Seconds, monotonic."""

    @property
    def device(self) -> DeviceKey:
        """This node's own key."""
        return self.identity.device

    def emit(self, effect: Effect) -> None:
        """Add an effect to those that the current event leads to."""
        self.effects.append(effect)

    def begin(self, space: SpaceId, inviter: DeviceKey | None = None) -> SpaceState:
        """Start to hold a space of which nothing is known yet."""
        state = SpaceState(space, self.limits, AccessLog(space, self.limits), inviter)
        self.spaces[space] = state
        return state

    def may_serve(self, link: LinkState, space: SpaceState) -> bool:
        """Whether the peer may have what this space holds: a device of a member, or a relay of our choice."""
        return link.relay or space.log.role_of(link.peer) is not None

    def may_listen(self, link: LinkState, space: SpaceState) -> bool:
        """Whether to take from the peer what it says of this space."""
        return self.may_serve(link, space) or link.peer == space.inviter

    def role(self, space: SpaceState) -> Role | None:
        """This device's own role."""
        return space.log.role_of(self.device)

    def on_space(self, space: SpaceId) -> list[tuple[LinkState, SpaceOnLink]]:
        """Every link on which a space is, in the order in which the links were opened."""
        return [(link, link.spaces[space]) for link in self.links.values() if space in link.spaces]


def blinded(handshake_hash: bytes, space: SpaceId) -> bytes:
    """How a space is named on a link before both sides are known to have it."""
    return hmac.digest(handshake_hash, space, hashlib.sha256)[:BLINDED_BYTES]
