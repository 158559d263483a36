"""Change sets that are not what they seem, from a peer with every right: refused, and the node is as it was."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from lichen.config import DEFAULT_LIMITS
from lichen.core.access.authoring import found_space
from lichen.core.effects import CheckSets, CloseLink, Effect, StoreKeys, StoreSets, TellInvalid
from lichen.core.events import Event, LinkOpened, MessageArrived, SetsChecked, SpaceLoaded
from lichen.core.node import Node
from lichen.core.space import SpaceState
from lichen.crypto.identity import Identity
from lichen.crypto.sealing import epoch_id
from lichen.errors import ProtocolError
from lichen.ids import DocId, MemberId, Session, SetId, SpaceId
from lichen.runtime.checking import check
from lichen.testing.access import Script, device
from lichen.testing.sets import KEY, Desk, Pen
from lichen.wire import frames
from lichen.wire.changeset import ChangeSet
from lichen.wire.membership import Role


class Target:
    """A node that holds the space, linked to ann's device, which is a writer in it; it checks as a driver does."""

    def __init__(self, desk: Desk) -> None:
        identity = Identity(b"".join(hashlib.sha256(bytes((part,))).digest() for part in range(3)))
        self.node = Node(identity, Session(bytes(16)), bytes(16), bytes(32))
        self.space: SpaceState = self.node.state.begin(desk.script.space)
        for operation in desk.script.operations:
            self.space.log.add(operation)
        self.space.keys[epoch_id(KEY)] = KEY
        self._link = 0
        self.link()

    def link(self) -> None:
        """Ann's device comes, again where its link was ended."""
        self._link += 1
        self.feed(LinkOpened(self._link, device("ann").public, "memory", bytes(32), False, b""))
        self.feed(MessageArrived(self._link, frames.Hello(frames.VERSION, False, bytes(16), b"", ())))

    def feed(self, event: Event) -> list[Effect]:
        """What an event leads to, checks included."""
        effects = self.node.handle(event, 0.0)
        for effect in list(effects):
            if isinstance(effect, CheckSets):
                effects += self.feed(SetsChecked(effect.space, check(effect.sets)))
        return effects

    def comes(self, *bodies: bytes, space: SpaceId | None = None) -> list[Effect]:
        """These come over the link."""
        return self.feed(MessageArrived(self._link, frames.Sets(space or self.space.id, bodies)))

    @property
    def knows(self) -> tuple[object, ...]:
        """All that a set could change."""
        space = self.space
        return dict(space.known), dict(space.frontier), dict(space.pending), len(space.waiting), list(space.queued)


def closed(effects: list[Effect]) -> bool:
    return any(isinstance(effect, CloseLink) for effect in effects)


def stored(effects: list[Effect]) -> list[SetId]:
    return [item.set.id for effect in effects if isinstance(effect, StoreSets) for item in effect.sets]


def invalid(effects: list[Effect]) -> list[bytes]:
    return [effect.id for effect in effects if isinstance(effect, TellInvalid)]


@pytest.fixture
def desk() -> Desk:
    """A space with an owner and two writers."""
    script = Script()
    script.add("ann", Role.WRITER)
    script.add("bob", Role.WRITER)
    return Desk(script)


@pytest.fixture
def first(desk: Desk) -> ChangeSet:
    return Pen(desk).create()


@pytest.fixture
def target(desk: Desk, first: ChangeSet) -> Target:
    target = Target(desk)
    assert stored(target.comes(first.encode())) == [first.id]
    return target


def written(desk: Desk, first: ChangeSet, name: str = "ann") -> ChangeSet:
    pen = Pen(desk, name)
    pen.read(first)
    return pen.write("x")


def test_a_flipped_bit_in_any_byte_of_a_set_ends_the_link_and_changes_nothing(
    desk: Desk, first: ChangeSet, target: Target
) -> None:
    body = written(desk, first).encode()
    before = target.knows
    for at in range(len(body)):
        flipped = bytearray(body)
        flipped[at] ^= 1 << at % 8
        effects = target.comes(bytes(flipped))
        assert closed(effects), at
        assert not stored(effects)
        assert not invalid(effects)
        assert target.knows == before, at
    assert stored(target.comes(body))


def test_a_set_moved_into_another_document_or_space_is_refused(desk: Desk, first: ChangeSet, target: Target) -> None:
    change_set = written(desk, first)
    before = target.knows
    for field, value in (("doc", DocId(b"d" * 16)), ("space", SpaceId(b"s" * 32))):
        header = change_set.header._replace(**{field: value})
        moved = dataclasses.replace(change_set, header=header, prefix=header.encode())
        assert closed(target.comes(moved.encode()))
        assert target.knows == before
    other = target.node.state.begin(SpaceId(b"s" * 32))
    other.log, other.inviter = target.space.log, device("ann").public
    assert closed(target.comes(change_set.encode(), space=other.id))
    assert not other.pending
    assert target.knows == before


def test_a_set_signed_by_another_under_its_author_s_name_is_refused(
    desk: Desk, first: ChangeSet, target: Target
) -> None:
    change_set = written(desk, first)
    before = target.knows
    stolen = ChangeSet.sign(change_set.header, change_set.prefix, change_set.ciphertext, device("bob"))
    assert stolen.id == change_set.id
    assert closed(target.comes(stolen.encode()))
    assert target.knows == before
    assert stored(target.comes(change_set.encode())) == [change_set.id]


def test_a_set_taken_over_by_another_author_does_not_open(desk: Desk, first: ChangeSet, target: Target) -> None:
    """Its signature is good, but author and session are part of the key: it is invalid for good."""
    change_set = written(desk, first)
    header = change_set.header._replace(author=device("bob").public)
    taken = ChangeSet.sign(header, header.encode(), change_set.ciphertext, device("bob"))
    effects = target.comes(taken.encode())
    assert invalid(effects) == [taken.id]
    assert not stored(effects)
    assert taken.id not in target.space.known
    assert stored(target.comes(change_set.encode())) == [change_set.id]


def test_a_set_sealed_under_another_key_than_its_epoch_s_is_invalid(
    desk: Desk, first: ChangeSet, target: Target
) -> None:
    pen = Pen(desk, "ann")
    pen.read(first)
    other = b"o" * 32
    change_set = pen._seal([pen.change()], deps=(first.id,), epoch_key=KEY)
    header = change_set.header._replace(epoch=epoch_id(other))
    forged = ChangeSet.sign(header, header.encode(), change_set.ciphertext, device("ann"))
    target.space.keys[epoch_id(other)] = other
    effects = target.comes(forged.encode())
    assert invalid(effects) == [forged.id]
    assert not stored(effects)


def test_a_foreign_actor_in_a_well_signed_set_makes_it_invalid(desk: Desk, first: ChangeSet, target: Target) -> None:
    thief, victim = Pen(desk, "ann"), Pen(desk, "bob")
    for pen in (thief, victim):
        pen.read(first)
    forged = thief._seal([victim.change("as bob")], deps=(first.id,))
    effects = target.comes(forged.encode())
    assert invalid(effects) == [forged.id]
    assert not stored(effects)


def test_the_same_set_is_stored_once_and_a_bad_signature_under_its_id_is_not_remembered(
    desk: Desk, first: ChangeSet, target: Target
) -> None:
    change_set = written(desk, first)
    bad = dataclasses.replace(change_set, signature=bytes(64))
    before = target.knows
    assert closed(target.comes(bad.encode()))
    assert target.knows == before
    assert change_set.id not in target.space.invalid
    assert stored(target.comes(change_set.encode(), change_set.encode())) == [change_set.id]
    assert not stored(target.comes(change_set.encode()))
    assert not stored(target.comes(bad.encode()))


def test_a_set_with_more_deps_than_may_be_is_refused_and_one_with_deps_that_never_come_waits_in_bounds(
    desk: Desk, first: ChangeSet, target: Target
) -> None:
    pen = Pen(desk, "ann")
    pen.read(first)
    absent = [SetId(hashlib.sha256(bytes((number,))).digest()) for number in range(200)]
    with pytest.raises(ProtocolError):
        pen._seal([pen.change()], deps=[SetId(number.to_bytes(32, "big")) for number in range(1, 1_026)])
    for one in absent:
        lost = Pen(desk, "ann", one.hex())
        lost.read(first)
        change_set = lost._seal([lost.change()], deps=(first.id, one))
        assert not stored(target.comes(change_set.encode()))
    assert len(target.space.waiting) == 200 <= DEFAULT_LIMITS.waiting_sets
    assert stored(target.comes(written(desk, first, "bob").encode()))


def test_an_epoch_s_key_that_was_lost_between_two_commits_is_opened_again(desk: Desk) -> None:
    """A crash after the operations were kept, and before the key was."""
    owner = Identity(b"o" * 96)

    founded = found_space(
        owner, member=MemberId(b"m" * 16), nonce=bytes(32), recovery_seed=bytes(32), epoch_key=KEY, time=1
    )
    node = Node(owner, Session(bytes(16)), bytes(16), bytes(32))
    effects = node.handle(SpaceLoaded(founded.space, founded.operations, (), ()), 0.0)
    assert [effect.keys for effect in effects if isinstance(effect, StoreKeys)] == [((founded.epoch, KEY),)]
    assert node.state.spaces[founded.space].keys == {founded.epoch: KEY}
    assert founded.epoch == epoch_id(KEY)
