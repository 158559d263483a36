"""Cursors: one moves only past what was kept, and no peer can hold up another's."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from lichen.config import Limits
from lichen.core.effects import CheckSets, Effect, Send, StoreCursor
from lichen.core.events import CheckedSet, LinkOpened, MessageArrived, SetsChecked, SetsNotStored, TimeReached
from lichen.core.node import Node
from lichen.core.space import SpaceState
from lichen.core.state import NodeState
from lichen.crypto.identity import Identity
from lichen.crypto.sealing import epoch_id, open_set
from lichen.ids import DeviceKey, OpId, Session
from lichen.testing.access import Script
from lichen.testing.sets import KEY, Desk, Pen
from lichen.wire import frames
from lichen.wire.changeset import ChangeSet
from lichen.wire.membership import Role

STORE = b"s" * 16


class Replica:
    """A node with a space, and relays of its own choice linked to it."""

    def __init__(self, desk: Desk, links: int, **limits: int) -> None:
        identity = Identity(b"".join(hashlib.sha256(bytes((part,))).digest() for part in range(3)))
        smaller = dataclasses.replace(Limits(), **limits)  # type: ignore[arg-type]
        self.node = Node(identity, Session(bytes(16)), bytes(16), bytes(32), limits=smaller)
        self.state: NodeState = self.node.state
        self.space: SpaceState = self.state.begin(desk.script.space)
        for operation in desk.script.operations:
            self.space.log.add(operation)
        self.space.keys[epoch_id(KEY)] = KEY
        for number in range(1, links + 1):
            peer = DeviceKey(bytes((number,)) * 32)
            self.feed(LinkOpened(number, peer, "memory", bytes(32), True, b""))
            self.hears(number, frames.Hello(frames.VERSION, True, STORE, b"", ()))
            self.state.links[number].on(self.space.id)

    def feed(self, event: object, now: float = 0.0) -> list[Effect]:
        """What an event leads to."""
        return self.node.handle(event, now)  # type: ignore[arg-type]

    def hears(self, link: int, message: frames.Message) -> list[Effect]:
        """A message comes over a link."""
        return self.feed(MessageArrived(link, message))

    def sets(self, link: int, *sets: ChangeSet) -> list[Effect]:
        """These come over a link, and wait for their check."""
        return self.hears(link, frames.Sets(self.space.id, tuple(one.encode() for one in sets)))

    def check(self, link: int, *sets: ChangeSet, good: bool = True) -> list[Effect]:
        """The check is done."""
        checked = (CheckedSet(one, link, good, "", tuple(open_set(one, KEY)) if good else None) for one in sets)
        return self.feed(SetsChecked(self.space.id, tuple(checked)))

    def take(self, link: int, *sets: ChangeSet) -> None:
        """These come over a link, with good signatures."""
        self.sets(link, *sets)
        self.check(link, *sets)

    def position(self, link: int, position: int = 7, pull: int | None = None) -> list[Effect]:
        """The peer says that all up to there was sent, after it answered the newest pull or an older one."""
        newest = self.state.links[link].on(self.space.id).pulls
        return self.hears(link, frames.Position(self.space.id, position, newest if pull is None else pull))


def moved(effects: list[Effect]) -> list[int]:
    """The links whose cursors moved."""
    return [effect.link for effect in effects if isinstance(effect, StoreCursor)]


def pulled(effects: list[Effect]) -> list[int]:
    """The links that were pulled from the beginning."""
    return [effect.link for effect in effects if isinstance(effect, Send) and isinstance(effect.message, frames.Pull)]


@pytest.fixture
def desk() -> Desk:
    """A space with an owner and a writer."""
    script = Script()
    script.add("ann", Role.WRITER)
    return Desk(script)


def test_a_set_that_waits_for_ever_holds_up_the_peer_that_sent_it_and_nobody_else(desk: Desk) -> None:
    replica = Replica(desk, 2)
    owner = Pen(desk)
    first = owner.create()
    lie = owner.write(access=[OpId(b"x" * 32)])
    replica.take(1, first, lie)
    assert moved(replica.position(1)) == []
    assert moved(replica.position(2)) == [2]


def test_a_peer_that_sends_what_another_sent_and_what_waits_is_held_up_too(desk: Desk) -> None:
    replica = Replica(desk, 2)
    owner = Pen(desk)
    first, second = owner.create(), owner.write()
    replica.take(1, second)
    replica.sets(2, second)
    assert moved(replica.position(2)) == []
    assert moved(replica.check(1, first)) == [2]


def test_a_copy_with_a_bad_signature_does_not_hide_the_good_one_of_another_peer(desk: Desk) -> None:
    replica = Replica(desk, 2)
    good = Pen(desk).create()
    bad = dataclasses.replace(good, signature=bytes(64))
    replica.sets(1, bad)
    replica.sets(2, good)
    replica.position(2)
    effects = replica.check(1, bad, good=False)
    assert moved(effects) == []
    assert pulled(effects) == [2]
    replica.take(2, good)
    assert moved(replica.position(2)) == [2]


def test_no_cursor_moves_past_a_set_that_was_forgotten_while_it_waited(desk: Desk) -> None:
    replica = Replica(desk, 1, waiting_sets=1)
    owner, ann = Pen(desk), Pen(desk, "ann")
    first = owner.create()
    ann.read(first)
    second, other = owner.write(), ann.write()
    replica.take(1, second, other)
    replica.take(1, first)
    assert not replica.space.waiting
    assert other.id in replica.space.known
    assert second.id not in replica.space.known
    effects = replica.position(1)
    due = replica.node.next_timer
    if due is not None:
        effects += replica.feed(TimeReached(), due)
    assert moved(effects) == []
    assert pulled(effects) == [1]
    replica.take(1, second)
    assert moved(replica.position(1)) == [1]


def test_what_waits_for_its_check_is_bounded_and_what_was_dropped_is_pulled_again(desk: Desk) -> None:
    owner = Pen(desk)
    sets = [owner.create(), *(owner.write() for _ in range(9))]
    room = sum(one.size_bytes for one in sets[:4])
    replica = Replica(desk, 1, unchecked_bytes=room)
    effects = replica.sets(1, sets[0])
    assert any(isinstance(effect, CheckSets) for effect in effects)
    replica.sets(1, *sets[1:])
    assert replica.space.queued_bytes <= room
    kept = [one for _, one in replica.space.queued]
    replica.check(1, sets[0])
    replica.check(1, *kept)
    assert replica.space.queued_bytes == 0
    effects = replica.position(1)
    assert moved(effects) == []
    assert pulled(effects) == [1]


def test_announcements_above_the_bound_are_pulled_instead(desk: Desk) -> None:
    owner = Pen(desk)
    first, second = owner.create(), owner.write()
    replica = Replica(desk, 1, waiting_sets=1)
    replica.hears(1, frames.Announce(replica.space.id, (first.id[:8], second.id[:8])))
    replica.take(1, first)
    effects = replica.position(1)
    assert moved(effects) == []
    assert pulled(effects) == [1]


def test_what_the_store_could_not_keep_is_pulled_again_before_the_cursor_moves(desk: Desk) -> None:
    replica = Replica(desk, 1)
    first = Pen(desk).create()
    replica.take(1, first)
    replica.feed(SetsNotStored(replica.space.id, (first.id,)))
    assert first.id not in replica.space.known
    assert not replica.space.frontier
    assert moved(replica.position(1)) == []
    assert pulled(replica.feed(TimeReached(), Limits().reconnect_max_s)) == [1]
    replica.take(1, first)
    assert moved(replica.position(1)) == [1]


def test_a_position_from_before_what_was_lost_is_pulled_again_moves_no_cursor(desk: Desk) -> None:
    replica = Replica(desk, 1)
    owner = Pen(desk)
    first, second = owner.create(), owner.write()
    replica.take(1, first, second)
    replica.feed(SetsNotStored(replica.space.id, (first.id, second.id)))
    assert moved(replica.position(1)) == []
    assert pulled(replica.feed(TimeReached(), Limits().reconnect_max_s)) == [1]
    replica.sets(1, first)  # the second comes in the next message
    assert moved(replica.check(1, first)) == []
    replica.take(1, second)
    assert moved(replica.position(1)) == [1]


def test_a_position_that_was_on_its_way_when_the_lost_was_pulled_again_moves_no_cursor(desk: Desk) -> None:
    replica = Replica(desk, 1)
    first = Pen(desk).create()
    replica.take(1, first)
    before = replica.state.links[1].on(replica.space.id).pulls
    replica.feed(SetsNotStored(replica.space.id, (first.id,)))
    assert pulled(replica.feed(TimeReached(), Limits().reconnect_max_s)) == [1]
    assert moved(replica.position(1, pull=before)) == []
    replica.take(1, first)
    assert moved(replica.position(1, pull=before)) == []
    assert moved(replica.position(1)) == [1]


def test_a_set_that_waits_for_an_operation_that_proves_invalid_is_invalid(desk: Desk) -> None:
    replica = Replica(desk, 1)
    bad = desk.script.add("eve", by="ann")
    desk.script.operations.remove(bad)
    owner = Pen(desk)
    first = owner.create()
    second = owner.write(access=[bad.id])
    replica.take(1, first, second)
    assert second.id in replica.space.waiting
    replica.hears(1, frames.Access(replica.space.id, replica.space.log.heads, (bad.encode(),)))
    assert second.id in replica.space.invalid
    assert moved(replica.position(1)) == [1]
