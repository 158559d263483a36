"""Change sets from outside, from arrival to one of the three outcomes.

They arrive, are checked in batches (signatures and ciphertexts, off the loop), then judged one by one: invalid,
waiting, or accepted. While one batch is checked the next gathers, so a lone set is checked at once and a flood in few
batches.
"""

from __future__ import annotations

from collections.abc import Callable

from lichen.core.admission import Admitted, Refused, Waiting, admit, check_changes
from lichen.core.effects import (
    AcceptedSet,
    CheckSets,
    Send,
    StoreCursor,
    StoreSets,
    TellCaughtUp,
    TellInvalid,
    TellSplit,
)
from lichen.core.events import CheckedSet, SetsChecked
from lichen.core.known import KnownSet
from lichen.core.links import LinkState, SpaceOnLink
from lichen.core.space import SpaceState, short_id
from lichen.core.state import NodeState
from lichen.errors import InvalidChangeSet
from lichen.ids import OpId, SetId
from lichen.wire.changeset import ChangeSet
from lichen.wire.frames import Position, Prune, Sets

BATCH_SETS = 512
"""Most sets in one check."""
BATCH_BYTES = 4 * 1024 * 1024
"""Most bytes in one check, but for a single larger set."""

Distribute = Callable[[SpaceState, list[ChangeSet], dict[bytes, int]], None]


def known_of(change_set: ChangeSet, last_hash: bytes | None) -> KnownSet:
    """What to keep in memory of a set."""
    header = change_set.header
    place = (header.doc, header.author, header.session, header.seq)
    return KnownSet(*place, header.access, header.deps, header.tip, last_hash)


class Intake:
    """Takes change sets in, space by space."""

    def __init__(self, state: NodeState, distribute: Distribute) -> None:
        self._state = state
        self._distribute = distribute

    def sets(self, link: LinkState, message: Sets) -> None:
        """Change sets arrived on a link."""
        space = self._state.spaces.get(message.space)
        if space is None or not self._state.may_listen(link, space):
            return
        for body in message.sets:
            self._arrived(link, space, ChangeSet.decode(body))
        self.check_next(space)

    def _arrived(self, link: LinkState, space: SpaceState, change_set: ChangeSet) -> None:
        if change_set.header.space != space.id:
            raise InvalidChangeSet("a change set of another space was sent for this one")
        if space.seen(change_set.id):
            if change_set.id in space.pending:
                space.pending[change_set.id].add(link.id)
            self._duplicate(link, space, change_set)
            return
        if space.queued_bytes + change_set.size_bytes > self._state.limits.unchecked_bytes:
            link.on(space.id).gap = True
            return
        space.pending[change_set.id] = {link.id}
        self._queue(space, link.id, change_set)

    def _queue(self, space: SpaceState, link: int, change_set: ChangeSet) -> None:
        space.queued.append((link, change_set))
        space.queued_bytes += change_set.size_bytes

    def _duplicate(self, link: LinkState, space: SpaceState, change_set: ChangeSet) -> None:
        """A new set came over two links: let the farther one only announce its author from now on."""
        author = change_set.header.author
        first = self._state.links.get(space.recent.get(change_set.id, -1))
        if first is None or first is link or author == self._state.device:
            return
        farther = first if link.peer == author else link
        on_link = farther.on(space.id)
        if author not in on_link.pruned and author != farther.peer:
            on_link.pruned.add(author)
            self._state.emit(Send(farther.id, Prune(space.id, author)))

    def check_next(self, space: SpaceState) -> None:
        """Hand out the next batch, unless one is out already."""
        if space.checking or not space.queued:
            return
        batch: list[tuple[int, ChangeSet, bytes | None]] = []
        size = 0
        for link, change_set in space.queued[:BATCH_SETS]:
            size += len(change_set.ciphertext)
            if batch and size > BATCH_BYTES:
                break
            batch.append((link, change_set, space.keys.get(change_set.header.epoch)))
        del space.queued[: len(batch)]
        space.queued_bytes -= sum(change_set.size_bytes for _, change_set, _ in batch)
        space.checking = True
        self._state.emit(CheckSets(space.id, tuple(batch)))

    def checked(self, event: SetsChecked) -> list[int]:
        """A batch was checked. Returns the links whose peers sent a set that its author did not sign."""
        space = self._state.spaces[event.space]
        space.checking = False
        liars = []
        ready = []
        for checked in event.checked:
            if not checked.verified:
                liars.append(checked.link)
                self._drop(space, checked.set.id)  # over another link it may have come with a good signature
            else:
                ready.append(checked)
        self.judge(space, ready)
        self.check_next(space)
        return liars

    def judge(self, space: SpaceState, ready: list[CheckedSet]) -> None:
        """Decide each set's outcome, and that of whatever waited for it; then store and pass on what counts."""
        accepted: list[AcceptedSet] = []
        sources: dict[bytes, int] = {}
        pending = list(reversed(ready))
        while pending:
            checked = pending.pop()
            set_id = checked.set.id
            if set_id in space.known:
                space.pending.pop(set_id, None)
                continue
            outcome = self._judge_one(space, checked)
            if outcome is None:
                if set_id in space.invalid:
                    pending.extend(reversed(space.waiting.failed(set_id)))
                continue
            space.pending.pop(set_id, None)
            space.add(set_id, known_of(checked.set, outcome.last_hash))
            space.remember_recent(set_id, checked.link)
            accepted.append(outcome)
            sources[set_id] = checked.link
            pending.extend(reversed(space.waiting.arrived(set_id)))
        if accepted:
            self._state.emit(StoreSets(space.id, tuple(accepted)))
            self._arrived_everywhere(space, accepted)
            self._distribute(space, [item.set for item in accepted], sources)
            self._tell_splits(space, accepted)
        self.settle_positions(space)

    def _tell_splits(self, space: SpaceState, accepted: list[AcceptedSet]) -> None:
        fresh = {item.set.id for item in accepted}
        for doc in dict.fromkeys(item.set.header.doc for item in accepted):
            for split in space.splits.splits(doc):
                if not fresh.isdisjoint(split.branches):
                    self._state.emit(TellSplit(space.id, doc, split.log[0], split.branches))

    def _judge_one(self, space: SpaceState, checked: CheckedSet) -> AcceptedSet | None:
        header = checked.set.header
        if checked.error:
            self._invalid(space, checked, checked.error)
            return None
        match admit(header, space.log, space.known.get, space.invalid):
            case Refused(reason):
                self._invalid(space, checked, reason)
                return None
            case Waiting(deps, operations):
                self._wait(space, checked, [*deps, *operations], deps_missing=bool(deps))
                return None
            case Admitted():
                pass
        if self._state.relay:
            return AcceptedSet(checked.set, None, None)
        if checked.changes is None:
            self._recheck_or_wait(space, checked)
            return None
        try:
            last_hash = check_changes(header, checked.changes, space.known.get, space.keys[header.epoch])
        except InvalidChangeSet as error:
            self._invalid(space, checked, str(error))
            return None
        return AcceptedSet(checked.set, checked.changes, last_hash)

    def _recheck_or_wait(self, space: SpaceState, checked: CheckedSet) -> None:
        epoch = checked.set.header.epoch
        if epoch in space.keys:
            self._queue(space, checked.link, checked.set)
        else:
            self._wait(space, checked, [epoch], deps_missing=False)

    def _wait(self, space: SpaceState, checked: CheckedSet, needs: list[bytes], *, deps_missing: bool) -> None:
        for forgotten in space.waiting.put(checked.set.id, checked, checked.set.size_bytes, needs):
            self._drop(space, forgotten)
        link = self._state.links.get(checked.link)
        if deps_missing and link is not None:
            on_link = link.on(space.id)
            if on_link.pull_again is None:
                on_link.pull_again = self._state.now + self._state.limits.graft_after_s

    def _drop(self, space: SpaceState, set_id: SetId) -> None:
        """A set is not kept, and nothing is known of it: it must come again over the links that brought it."""
        for number in space.pending.pop(set_id, ()):
            link = self._state.links.get(number)
            if link is not None:
                link.on(space.id).gap = True

    def lost(self, space: SpaceState, ids: tuple[SetId, ...]) -> None:
        """The store could not keep these: fetch them again, but not at once, since the disk may be full for long."""
        space.forget(ids)
        for _, on_link in self._state.on_space(space.id):
            on_link.gap = True
            on_link.pull_again = self._state.now + self._state.limits.reconnect_max_s

    def _invalid(self, space: SpaceState, checked: CheckedSet, reason: str) -> None:
        space.pending.pop(checked.set.id, None)
        space.mark_invalid(checked.set.id, reason)
        self._state.emit(TellInvalid(space.id, checked.set.id, reason))

    def released(self, space: SpaceState) -> None:
        """Access operations or epoch keys came: judge what waited for them."""
        ready: list[CheckedSet] = []
        for need in space.waiting.needs:
            if need in space.log.invalid:
                ready += space.waiting.failed(need)
            elif space.log.known(OpId(need)) or need in space.keys:
                ready += space.waiting.arrived(need)
        self.judge(space, ready)
        self.check_next(space)

    def _arrived_everywhere(self, space: SpaceState, accepted: list[AcceptedSet]) -> None:
        for _, on_link in self._state.on_space(space.id):
            for item in accepted:
                on_link.missing.pop(short_id(item.set.id), None)

    def position(self, link: LinkState, message: Position) -> None:
        """The peer has sent or announced everything up to a position of its store."""
        space = self._state.spaces.get(message.space)
        if space is None or not self._state.may_listen(link, space):
            return
        on_link = link.on(space.id)
        on_link.refusal = ""
        if message.pull == on_link.pulls:  # else it was on its way when the newest pull was sent
            on_link.peer_position = message.position
            self.settle_positions(space)

    def settle_positions(self, space: SpaceState) -> None:
        """Move the cursors of peers that have nothing more for us; what another peer sent holds nobody up."""
        told = [
            (link, on_link) for link, on_link in self._state.on_space(space.id) if on_link.peer_position is not None
        ]
        if not told or space.queued or space.checking:
            return
        owed = space.owed()
        for link, on_link in told:
            if link.id not in owed and not on_link.missing:
                self._settle(space, link, on_link)

    def _settle(self, space: SpaceState, link: LinkState, on_link: SpaceOnLink) -> None:
        if on_link.peer_position is None or link.hello is None:
            return
        if on_link.gap:
            if on_link.pull_again is None:
                self._state.emit(Send(link.id, on_link.pull(0, space.sample())))
            return
        self._state.emit(StoreCursor(link.id, link.peer, space.id, link.hello.store, on_link.peer_position))
        self._state.emit(TellCaughtUp(space.id, link.peer))
        on_link.peer_position = None
        on_link.caught_up = True
