"""Change sets to peers: the answer to a pull, then everything new as it is accepted.

Pushing follows Plumtree (Leitao, Pereira, Rodrigues: Epidemic Broadcast Trees, 2007), with one tree an author: a peer
that gets an author's sets sooner elsewhere prunes this link for that author and is only told short ids; when an
announced set stays away it grafts the link again. What this device writes itself is always pushed, so a relay stores
it at once.
"""

from __future__ import annotations

from lichen.core.effects import ReadCatchUp, ReadPosition, ReadSets, Send, TellServed
from lichen.core.events import CatchUpRead, CursorRead, CursorStored, PositionNotRead, PositionRead, SetsRead
from lichen.core.links import LinkState, SpaceOnLink
from lichen.core.space import SpaceState, short_id
from lichen.core.state import NodeState
from lichen.ids import SetId
from lichen.wire.changeset import ChangeSet
from lichen.wire.frames import Announce, Graft, Position, Prune, Pull, Sets, Settled

MESSAGE_BYTES = 256 * 1024
"""A message of change sets is closed when it reaches this size."""
GRAFTED_SETS = 1_024
"""Most announced sets that are sent for one graft."""


class Push:
    """Serves pulls and pushes what is new."""

    def __init__(self, state: NodeState) -> None:
        self._state = state

    # Our pull

    def cursor_read(self, event: CursorRead) -> None:
        """Now it is known how far we had read this peer: pull from there."""
        link = self._state.links.get(event.link)
        space = self._state.spaces.get(event.space)
        if link is None or space is None or link.hello is None:
            return
        since = event.position if event.store == link.hello.store and space.known else 0
        self._state.emit(Send(link.id, link.on(space.id).pull(since, space.sample())))

    # Their pull

    def pull(self, link: LinkState, message: Pull) -> SpaceState | None:
        """The peer asks for what it lacks, and for everything new from now on. Returns the space when it may.

        Its right may still be on its way here: then the pull is kept until `awaited`.
        """
        space = self._state.spaces.get(message.space)
        if space is None:
            return None
        on_link = link.on(space.id)
        if not self._state.may_serve(link, space):
            on_link.next_pull = message
            return None
        on_link.subscribed = True
        if on_link.catching_up:
            on_link.next_pull = message
        else:
            self._serve(link, on_link, message)
        return space

    def awaited(self, space: SpaceState) -> list[tuple[LinkState, Pull]]:
        """The log has grown: take out the pulls of peers that have a right now."""
        found = []
        for link, on_link in self._state.on_space(space.id):
            if on_link.next_pull is not None and not on_link.catching_up and self._state.may_serve(link, space):
                found.append((link, on_link.next_pull))
                on_link.next_pull = None
        return found

    def _serve(self, link: LinkState, on_link: SpaceOnLink, pull: Pull) -> None:
        on_link.served_pull = pull.number
        self._begin_catch_up(link, on_link, pull.since, pull.sample)

    def _begin_catch_up(self, link: LinkState, on_link: SpaceOnLink, since: int, sample: tuple[SetId, ...]) -> None:
        on_link.catching_up = True
        on_link.behind = False
        on_link.missed.clear()
        on_link.missed_bytes = 0
        self._state.emit(ReadCatchUp(link.id, on_link.space, since, sample))

    def catch_up_read(self, event: CatchUpRead) -> None:
        """Send a batch; after the last one, what was accepted meanwhile."""
        link = self._state.links.get(event.link)
        if link is None or event.space not in link.spaces:
            return
        on_link = link.spaces[event.space]
        self._send_bodies(link, on_link, list(event.sets))
        if not event.done:
            return
        on_link.position = event.position
        if on_link.next_pull is not None:
            pull, on_link.next_pull = on_link.next_pull, None
            self._serve(link, on_link, pull)
            return
        if on_link.behind:
            self._begin_catch_up(link, on_link, event.position, ())
            return
        on_link.catching_up = False
        self._send_bodies(link, on_link, [change_set.encode() for change_set in on_link.missed.values()])
        on_link.missed.clear()
        on_link.missed_bytes = 0
        self._tell_position(link, on_link, event.position)

    def sets_read(self, event: SetsRead) -> None:
        """Send single sets that were asked for; to a congested link none, since the peer asks again."""
        link = self._state.links.get(event.link)
        if link is not None and event.space in link.spaces and not link.congested:
            self._send_bodies(link, link.spaces[event.space], list(event.sets))

    def _send_bodies(self, link: LinkState, on_link: SpaceOnLink, bodies: list[bytes]) -> None:
        batch: list[bytes] = []
        size = 0
        for body in bodies:
            if batch and size + len(body) > MESSAGE_BYTES:
                self._state.emit(Send(link.id, Sets(on_link.space, tuple(batch))))
                batch, size = [], 0
            batch.append(body)
            size += len(body)
        if batch:
            self._state.emit(Send(link.id, Sets(on_link.space, tuple(batch))))

    # New sets

    def distribute(self, space: SpaceState, sets: list[ChangeSet], sources: dict[bytes, int]) -> None:
        """Push accepted sets to every subscribed peer but the one each came from."""
        space.unreported = True
        for link, on_link in self._state.on_space(space.id):
            if on_link.subscribed:
                fresh = [change_set for change_set in sets if sources.get(change_set.id) != link.id]
                self._push(link, on_link, fresh)

    def _push(self, link: LinkState, on_link: SpaceOnLink, sets: list[ChangeSet]) -> None:
        if on_link.catching_up:
            for change_set in sets:
                on_link.miss(change_set)
            return
        if link.congested:
            on_link.behind = True
            return
        eager = [s for s in sets if s.header.author == self._state.device or s.header.author not in on_link.lazy]
        lazy = [s for s in sets if s.header.author != self._state.device and s.header.author in on_link.lazy]
        self._send_bodies(link, on_link, [change_set.encode() for change_set in eager])
        if lazy:
            self._state.emit(Send(link.id, Announce(on_link.space, tuple(short_id(s.id) for s in lazy))))

    def drained(self, link: LinkState) -> None:
        """A congested link can take more: send what was dropped, from the store."""
        link.congested = False
        for on_link in link.spaces.values():
            if on_link.behind and on_link.live:
                self._begin_catch_up(link, on_link, on_link.position, ())

    # Trees

    def prune(self, link: LinkState, message: Prune) -> None:
        """The peer gets this author's sets elsewhere."""
        on_link = link.on(message.space)
        if len(on_link.lazy) < self._state.limits.spaces:
            on_link.lazy.add(message.author)

    def announced(self, link: LinkState, message: Announce) -> None:
        """The peer has sets that it does not send: wait a little for them to come elsewhere."""
        space = self._state.spaces.get(message.space)
        if space is None or not self._state.may_listen(link, space):
            return
        on_link = link.on(space.id)
        due = self._state.now + self._state.limits.graft_after_s
        for short in message.short_ids:
            if short in space.short_ids:
                continue
            if len(on_link.missing) < self._state.limits.waiting_sets:
                on_link.missing.setdefault(short, due)
            else:
                on_link.gap = True

    def graft(self, link: LinkState, message: Graft) -> None:
        """The peer wants these sets, and their authors' next ones, over this link again."""
        space = self._state.spaces.get(message.space)
        if space is None or not self._state.may_serve(link, space):
            return
        on_link = link.on(space.id)
        on_link.lazy.difference_update(message.authors)
        ids = [space.short_ids[short] for short in message.short_ids if short in space.short_ids]
        for set_id in ids:
            on_link.lazy.discard(space.known[set_id].author)
        if ids and not link.congested:  # the peer asks again for what does not come
            self._state.emit(ReadSets(link.id, space.id, tuple(ids[:GRAFTED_SETS])))

    def graft_due(self) -> None:
        """Ask for announced sets that stayed away, and pull again where dependencies did."""
        for link in self._state.links.values():
            for on_link in link.spaces.values():
                self._graft_due_on(link, on_link)

    def _graft_due_on(self, link: LinkState, on_link: SpaceOnLink) -> None:
        now = self._state.now
        due = [short for short, at in on_link.missing.items() if at <= now]
        space = self._state.spaces.get(on_link.space)
        if space is None:
            return
        if due:
            for short in due:
                on_link.missing[short] = now + 4 * self._state.limits.graft_after_s
            on_link.pruned.clear()
            self._state.emit(Send(link.id, Graft(on_link.space, tuple(due), ())))
        if on_link.pull_again is not None and on_link.pull_again <= now:
            on_link.pull_again = None
            if space.waiting or on_link.gap:
                self._state.emit(Send(link.id, on_link.pull(0, space.sample())))

    def link_lost(self, lost: LinkState) -> None:
        """What the lost link carried must come over the others: graft them at once."""
        for space_id in lost.spaces:
            for link, on_link in self._state.on_space(space_id):
                if on_link.pruned or on_link.missing:
                    authors = tuple(sorted(on_link.pruned))
                    self._state.emit(Send(link.id, Graft(space_id, tuple(on_link.missing), authors)))
                    on_link.pruned.clear()

    # Positions

    def report_positions(self) -> None:
        """Find out how far our store has come in spaces where something was pushed."""
        for space in self._state.spaces.values():
            if space.unreported:
                space.unreported = False
                self._state.emit(ReadPosition(space.id))

    def position_read(self, event: PositionRead) -> None:
        """Tell every live link, so that its cursor can move."""
        for link, on_link in self._state.on_space(event.space):
            if on_link.live and not on_link.behind and not link.congested:
                on_link.position = event.position
                self._tell_position(link, on_link, event.position)

    def position_not_read(self, event: PositionNotRead) -> None:
        """Find it out again: else peers would not confirm what they have until the next push."""
        self._state.spaces[event.space].unreported = True

    def _tell_position(self, link: LinkState, on_link: SpaceOnLink, position: int) -> None:
        on_link.told_position = position
        self._state.emit(Send(link.id, Position(on_link.space, position, on_link.served_pull)))

    def cursor_stored(self, event: CursorStored) -> None:
        """All that a peer told us of is on disk: confirm it."""
        if event.link in self._state.links:
            self._state.emit(Send(event.link, Settled(event.space, event.position)))

    def settled(self, link: LinkState, message: Settled) -> None:
        """The peer has stored everything up to a position of ours."""
        on_link = link.on(message.space)
        on_link.settled_position = max(on_link.settled_position, message.position)
        space = self._state.spaces.get(message.space)
        if on_link.served and space is not None and not space.unreported:
            self._state.emit(TellServed(message.space, link.peer))
