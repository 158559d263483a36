"""What becomes of checked change sets: invalid, waiting or accepted, with those that follow them; and splits."""

from __future__ import annotations

import hashlib

import pytest
from lichen.config import Limits
from lichen.core.effects import StoreSets, TellInvalid, TellSplit
from lichen.core.events import CheckedSet
from lichen.core.intake import Intake
from lichen.core.space import SpaceState
from lichen.core.state import NodeState
from lichen.crypto.identity import Identity
from lichen.crypto.sealing import epoch_id, open_set
from lichen.ids import Session, SetId
from lichen.testing.access import Script, device
from lichen.testing.sets import KEY, Desk, Pen
from lichen.wire.changeset import ChangeSet
from lichen.wire.membership import Role


class Replica:
    """A node that takes change sets as if they had been checked."""

    def __init__(self, desk: Desk, *, relay: bool = False) -> None:
        identity = Identity(b"".join(hashlib.sha256(bytes((part,))).digest() for part in range(3)))
        self.state = NodeState(identity, Session(bytes(16)), bytes(16), relay, Limits())
        self.intake = Intake(self.state, lambda _space, _sets, _sources: None)
        self.space: SpaceState = self.state.begin(desk.script.space)
        for operation in desk.script.operations:
            self.space.log.add(operation)
        if not relay:
            self.space.keys[epoch_id(KEY)] = KEY

    def take(self, *sets: ChangeSet) -> None:
        """These arrive in one batch, with good signatures."""
        checked = [CheckedSet(one, 1, True, "", self._open(one)) for one in sets]
        self.intake.judge(self.space, checked)

    def _open(self, change_set: ChangeSet) -> tuple[bytes, ...] | None:
        return None if self.state.relay else tuple(open_set(change_set, KEY))

    @property
    def stored(self) -> list[SetId]:
        """What was stored, in order."""
        return [item.set.id for effect in self.state.effects if isinstance(effect, StoreSets) for item in effect.sets]

    @property
    def invalid(self) -> set[bytes]:
        """What was told to be invalid."""
        return {effect.id for effect in self.state.effects if isinstance(effect, TellInvalid)}

    @property
    def splits(self) -> list[TellSplit]:
        """What was told of splits."""
        return [effect for effect in self.state.effects if isinstance(effect, TellSplit)]


@pytest.fixture
def desk() -> Desk:
    """A space with an owner, two writers and a reader."""
    script = Script()
    for name, role in (("ann", Role.WRITER), ("bob", Role.WRITER), ("rob", Role.READER)):
        script.add(name, role)
    return Desk(script)


def on(pen: Pen, *sets: ChangeSet) -> Pen:
    """A pen that has read these."""
    pen.read(*sets)
    return pen


def test_sets_that_come_backwards_are_stored_in_the_order_of_their_past(desk: Desk) -> None:
    owner, replica = Pen(desk), Replica(desk)
    sets = [owner.create(), owner.write(), owner.write()]
    for change_set in reversed(sets):
        replica.take(change_set)
    assert replica.stored == [change_set.id for change_set in sets]
    assert not replica.space.waiting


def test_what_waited_for_an_invalid_set_is_invalid_with_it(desk: Desk) -> None:
    owner, replica = Pen(desk), Replica(desk)
    first = owner.create()
    bad = on(Pen(desk, "rob"), first).write()
    child = on(Pen(desk, "ann"), first, bad).write()
    grandchild = on(Pen(desk, "bob"), first, bad, child).write()
    replica.take(grandchild)
    replica.take(child)
    replica.take(first, bad)
    assert replica.stored == [first.id]
    assert replica.invalid == {bad.id, child.id, grandchild.id}
    assert not replica.space.waiting


def test_a_forged_merge_is_invalid_and_what_follows_it_and_a_relay_cannot_tell(desk: Desk) -> None:
    first = Pen(desk).create()
    one, other = (on(Pen(desk, name), first).write("x") for name in ("ann", "bob"))
    forged = Pen(desk, "owner", "second").merge(one, other, dep_tips=[one.header.tip, one.header.tip])
    child = on(Pen(desk, "ann", "second"), first, one, other).write("y", deps=(forged.id,))
    honest = Pen(desk, "bob", "second").merge(one, other)
    replica, relay = Replica(desk), Replica(desk, relay=True)
    for node in (replica, relay):
        node.take(child, forged, honest)
        node.take(other, one, first)
    assert replica.invalid == {forged.id, child.id}
    assert set(replica.stored) == {first.id, one.id, other.id, honest.id}
    assert len(relay.stored) == 6


@pytest.mark.parametrize("relay", [False, True], ids=["device", "relay"])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_device_that_wrote_twice_at_one_place_is_told_of_and_both_sets_are_kept(
    desk: Desk, relay: bool, swapped: bool
) -> None:
    first = Pen(desk).create()
    branches = [on(Pen(desk, "ann"), first).write(text) for text in ("one", "other")]
    replica = Replica(desk, relay=relay)
    replica.take(first, *(reversed(branches) if swapped else branches))
    (told,) = replica.splits
    assert told.author == device("ann").public
    assert set(told.branches) == {branch.id for branch in branches}
    assert set(replica.stored) == {first.id, *told.branches}


def test_nobody_is_told_of_a_split_while_everybody_goes_on_from_their_own(desk: Desk) -> None:
    owner, replica = Pen(desk), Replica(desk)
    first = owner.create()
    ann, bob = on(Pen(desk, "ann"), first), on(Pen(desk, "bob"), first)
    replica.take(first, ann.write(), bob.write(), ann.write(), owner.write(), bob.write())
    assert replica.splits == []
    assert len(replica.stored) == 6
