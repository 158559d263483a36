"""What a device writes into the access log so that it can seal."""

from __future__ import annotations

import hashlib

import pytest
from lichen.config import Limits
from lichen.core.access.authoring import Founded, add_member, found_space
from lichen.core.access.log import AccessLog, Outcome
from lichen.core.hlc import Clock
from lichen.core.space import SpaceState
from lichen.crypto.identity import Identity
from lichen.crypto.sealing import epoch_id
from lichen.ids import MemberId
from lichen.runtime.epochs import author_epoch
from lichen.runtime.sealer import Sealer
from lichen.wire.membership import Merge, OperationKind, Role
from lichen.wire.operation import Operation

KEY = b"k" * 32


def identity(name: str) -> Identity:
    """A device from its name."""
    return Identity(b"".join(hashlib.sha256(name.encode() + bytes((part,))).digest() for part in range(3)))


ALICE, BOB = identity("alice"), identity("bob")


@pytest.fixture
def founded() -> Founded:
    """What founds the space."""
    return found_space(
        ALICE, member=MemberId(b"a" * 16), nonce=bytes(32), recovery_seed=b"r" * 32, epoch_key=KEY, time=1
    )


@pytest.fixture
def space(founded: Founded) -> SpaceState:
    """A space of alice's, with its key."""
    state = SpaceState(founded.space, Limits(), AccessLog(founded.space))
    take(state, list(founded.operations))
    state.keys[epoch_id(KEY)] = KEY
    return state


def take(space: SpaceState, operations: list[Operation]) -> None:
    """Add operations, all valid."""
    assert [space.log.add(operation) for operation in operations] == [Outcome.VALID] * len(operations)


def with_bob(space: SpaceState, role: Role) -> None:
    """Add bob, without wrapping to him."""
    record = BOB.record(space.id, MemberId(b"b" * 16))
    take(space, [add_member(space.log, ALICE.signer, member=MemberId(b"b" * 16), role=role, devices=[record], time=2)])


def sealer(space: SpaceState) -> Sealer:
    """Alice's sealer."""
    return Sealer(ALICE, Clock(), Limits(), lambda _space: space)


def test_a_device_with_an_eligible_epoch_writes_nothing(space: SpaceState) -> None:
    assert author_epoch(space, ALICE, Clock()) == []
    assert sealer(space).ready(space.id)


def test_a_new_reader_is_wrapped_to_before_anything_is_sealed(space: SpaceState) -> None:
    with_bob(space, Role.READER)
    assert not sealer(space).ready(space.id)
    made = author_epoch(space, ALICE, Clock())
    assert [operation.kind for operation in made] == [OperationKind.WRAP]
    take(space, made)
    assert sealer(space).ready(space.id)


def test_a_device_without_a_key_or_without_the_right_writes_nothing(space: SpaceState) -> None:
    with_bob(space, Role.RELAY)
    assert author_epoch(space, BOB, Clock()) == []
    space.keys.clear()
    assert author_epoch(space, ALICE, Clock()) == []


def test_more_heads_than_can_be_named_are_merged_before_anything_is_sealed(space: SpaceState, founded: Founded) -> None:
    parents = (founded.operations[1].id,)
    for time in range(65):
        take(space, [Operation.sign(Merge(), space=space.id, parents=parents, time=time, signer=ALICE.signer)])
    assert not sealer(space).ready(space.id)
    take(space, author_epoch(space, ALICE, Clock()))
    assert len(space.log.heads) == 1
    assert sealer(space).ready(space.id)
