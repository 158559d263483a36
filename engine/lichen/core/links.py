"""What one node knows of one link, and of one space on that link."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from lichen.ids import DeviceKey, OpId, SetId, SpaceId
from lichen.wire.changeset import ChangeSet
from lichen.wire.frames import Hello, Pull

MISSED_BYTES = 4 * 1024 * 1024
"""How much may gather for a link during its catch-up before another round from the store is cheaper."""


@dataclass(slots=True)
class SpaceOnLink:
    """The state of one space between this node and one peer.

    It goes: greeted (access heads sent) -> pulled (our pull is sent) on our side; and idle -> catching up ->
    live for what the peer asked of us. Only a live one gets pushes.
    """

    space: SpaceId
    greeted: bool = False
    pulled: bool = False
    peer_heads: tuple[OpId, ...] = ()
    """The heads of the access log that the peer is known to have."""
    wanted: bool = False
    """The peer asked for this space before it had the right; looked at again as the access log grows."""
    subscribed: bool = False
    """The peer pulled: it gets what is new."""
    catching_up: bool = False
    served_pull: int = 0
    """The number of the peer's pull that the catch-up answers, or the last one did."""
    next_pull: Pull | None = None
    """The newest pull that came during a catch-up, which is served after it; or before the peer had the right."""
    position: int = 0
    """Our store's position up to which the peer was sent everything."""
    told_position: int = -1
    """The last position that the peer was told."""
    settled_position: int = -1
    """The last position that the peer has confirmed to have stored."""
    missed: dict[bytes, ChangeSet] = field(default_factory=dict)
    """Accepted during the catch-up."""
    missed_bytes: int = 0
    behind: bool = False
    """Pushes were dropped since `position`."""
    lazy: set[DeviceKey] = field(default_factory=set)
    """Authors that the peer only wants announced."""
    pruned: set[DeviceKey] = field(default_factory=set)
    """Authors that we asked the peer only to announce."""
    missing: OrderedDict[bytes, float] = field(default_factory=OrderedDict)
    """Short ids that the peer announced and that are not here, with the time to ask for them."""
    pulls: int = 0
    """How many pulls were sent, which is the newest one's number."""
    peer_position: int | None = None
    """A position in the peer's store that is reached when nothing is missing any more."""
    refusal: str = ""
    """Why the peer will not serve this space, or not yet, in its own words."""
    caught_up: bool = False
    """Everything that the peer had when we pulled is here."""
    pull_again: float | None = None
    """When to pull from the beginning, because something depends on sets that are not here."""
    gap: bool = False
    """Something that came over this link was dropped: pull from the beginning before the cursor moves."""
    online: tuple[DeviceKey, ...] = ()
    """The devices that a relay says are there."""

    @property
    def live(self) -> bool:
        """New sets are pushed at once."""
        return self.subscribed and not self.catching_up

    @property
    def served(self) -> bool:
        """The peer has confirmed everything it was told of."""
        return self.live and not self.behind and 0 <= self.told_position <= self.settled_position

    def pull(self, since: int, sample: tuple[SetId, ...]) -> Pull:
        """A new pull. What the peer said or says before its answer does not count what comes with the answer."""
        self.pulls += 1
        self.gap = False
        self.peer_position = None
        return Pull(self.space, self.pulls, since, sample)

    def miss(self, change_set: ChangeSet) -> None:
        """Keep a set accepted during the catch-up, or note that another round is due."""
        if self.missed_bytes + len(change_set.ciphertext) > MISSED_BYTES:
            self.behind = True
            return
        self.missed[change_set.id] = change_set
        self.missed_bytes += len(change_set.ciphertext)


@dataclass(slots=True)
class LinkState:
    """One link at one node."""

    id: int
    peer: DeviceKey
    path: str
    handshake_hash: bytes
    dialled: bool
    token: bytes
    hello: Hello | None = None
    congested: bool = False
    spaces: dict[SpaceId, SpaceOnLink] = field(default_factory=dict)

    @property
    def relay(self) -> bool:
        """The peer is a relay that this side chose."""
        return self.dialled and self.hello is not None and self.hello.relay

    def on(self, space: SpaceId) -> SpaceOnLink:
        """The state of a space on this link, begun when it is new."""
        state = self.spaces.get(space)
        if state is None:
            state = self.spaces[space] = SpaceOnLink(space)
        return state
