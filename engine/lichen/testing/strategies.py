"""Hypothesis strategies for the signed objects, and a signer from a seed. Needs the `dev` extra."""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import strategies as st

from lichen.crypto.lockbox import wrap_to_all
from lichen.crypto.sealing import epoch_id, seal_ephemeral, seal_set
from lichen.ids import DeviceKey, DocId, MemberId, OpId, Session, SetId, SpaceId
from lichen.wire.changeset import NO_PREV, ChangeSet, Kind, create_prev, doc_id
from lichen.wire.ephemeral import NO_DOC, TO_ALL, Ephemeral, EphemeralKind
from lichen.wire.operation import (
    AddDevice,
    AddMember,
    Body,
    DeviceRecord,
    Epoch,
    Genesis,
    Merge,
    Operation,
    Role,
    WrapKeys,
    recovery_hash,
)
from lichen.wire.ticket import Ticket


class SeedSigner:
    """An Ed25519 signer whose key is the hash of a name, with an X25519 sealing key of the same making."""

    def __init__(self, name: str) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"sign " + name.encode()).digest())
        self.public = DeviceKey(self._private.public_key().public_bytes_raw())
        self.sealing_private = X25519PrivateKey.from_private_bytes(hashlib.sha256(b"seal " + name.encode()).digest())
        self.sealing_key = self.sealing_private.public_key().public_bytes_raw()
        static = X25519PrivateKey.from_private_bytes(hashlib.sha256(b"static " + name.encode()).digest())
        self.static_key = static.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """A signature of 64 bytes."""
        return self._private.sign(message)

    def record(self, space: SpaceId, member: MemberId) -> DeviceRecord:
        """The signed record of this device for a member of a space."""
        return DeviceRecord.sign(
            space=space, member=member, signer=self, sealing_key=self.sealing_key, static_key=self.static_key
        )


def verifies(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether one signature verifies."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


ALICE, BOB, CAROL = SeedSigner("alice"), SeedSigner("bob"), SeedSigner("carol")

id32 = st.binary(min_size=32, max_size=32)
id16 = st.binary(min_size=16, max_size=16)
u64 = st.integers(0, 2**64 - 1)
signers = st.sampled_from([ALICE, BOB, CAROL])
changes = st.lists(st.binary(max_size=300), max_size=6)


def ids(least: int, most: int) -> st.SearchStrategy[list[bytes]]:
    """Different 32-byte ids, none of them zero, in any order."""
    return st.lists(id32.filter(any), min_size=least, max_size=most, unique=True)


@st.composite
def set_fields(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments for `seal_set` that make a valid change set of any kind."""
    kind, signer, space = draw(st.sampled_from(Kind)), draw(signers), SpaceId(draw(id32))
    deps = [SetId(dep) for dep in draw(ids(1, 5))]
    seq, prev, doc = 1, NO_PREV, DocId(draw(id16))
    if kind is Kind.CREATE:
        nonce = draw(id16)
        deps, prev, doc = [], create_prev(nonce), doc_id(space, signer.public, nonce)
    elif draw(st.booleans()):
        seq, prev = draw(st.integers(2, 2**64 - 1)), draw(st.sampled_from(deps))
    carried = draw(changes) if kind is Kind.CREATE else draw(changes.filter(bool)) if kind is Kind.CHANGES else []
    return {
        "kind": kind,
        "space": space,
        "doc": doc,
        "session": Session(draw(id16)),
        "seq": seq,
        "prev": prev,
        "time": draw(u64),
        "access": [OpId(head) for head in draw(ids(1, 4))],
        "deps": deps,
        "changes": carried,
        "epoch_key": draw(id32),
        "signer": signer,
        "random": draw(id32),
        "dep_tips": draw(st.lists(id32, min_size=len(deps), max_size=len(deps))) if kind is Kind.MERGE else (),
    }


@st.composite
def change_sets(draw: st.DrawFn) -> ChangeSet:
    """Valid change sets of every kind."""
    return seal_set(**draw(set_fields()))


@st.composite
def bodies(draw: st.DrawFn, space: SpaceId) -> Body:
    """Valid bodies of operations in a space, but no genesis."""
    member = MemberId(draw(id16))
    kind = draw(st.sampled_from([AddMember, AddDevice, Epoch, WrapKeys, Merge]))
    devices = draw(st.lists(signers, min_size=1, max_size=3, unique=True))
    key = draw(id32)
    wraps = wrap_to_all(key, [device.sealing_key for device in devices], space)
    if kind is AddMember:
        records = sorted((device.record(space, member) for device in devices), key=lambda record: record.key)
        return AddMember(member, draw(st.sampled_from(Role)), tuple(records))
    if kind is AddDevice:
        return AddDevice(member, devices[0].record(space, member))
    if kind is Epoch:
        earlier = draw(st.binary(max_size=200))
        generation = draw(st.integers(1, 2**32 - 1))
        return Epoch(generation, epoch_id(key), CAROL.public, CAROL.sealing_key, wraps, earlier)
    return WrapKeys(epoch_id(key), wraps) if kind is WrapKeys else Merge()


@st.composite
def genesis_operations(draw: st.DrawFn) -> Operation:
    """Valid first operations."""
    signer, member = draw(signers), MemberId(draw(id16))
    committed = recovery_hash(CAROL.public, CAROL.sealing_key)
    body = Genesis(member, signer.record(SpaceId(bytes(32)), member), draw(id32), 0, committed)
    return Operation.sign(body, space=SpaceId(bytes(32)), parents=(), time=draw(u64), signer=signer)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    """Valid operations of every kind."""
    if draw(st.integers(0, 4)) == 0:
        return draw(genesis_operations())
    parents = [OpId(parent) for parent in draw(ids(1, 4))]
    space = SpaceId(draw(id32.filter(any)))
    return Operation.sign(draw(bodies(space)), space=space, parents=parents, time=draw(u64), signer=draw(signers))


@st.composite
def ephemeral_fields(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments for `seal_ephemeral`."""
    return {
        "kind": draw(st.sampled_from(EphemeralKind)),
        "space": SpaceId(draw(id32)),
        "doc": draw(st.one_of(st.just(NO_DOC), id16.map(DocId))),
        "session": Session(draw(id16)),
        "counter": draw(u64),
        "to": draw(st.one_of(st.just(TO_ALL), id32.map(DeviceKey))),
        "payload": draw(st.binary(max_size=500)),
        "epoch_key": draw(id32),
        "signer": draw(signers),
        "random": draw(id32),
    }


@st.composite
def ephemerals(draw: st.DrawFn) -> Ephemeral:
    """Valid ephemeral messages."""
    return seal_ephemeral(**draw(ephemeral_fields()))


@st.composite
def tickets(draw: st.DrawFn) -> Ticket:
    """Valid tickets."""
    letters = st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn", "Z"))
    hints = draw(st.lists(st.text(letters, max_size=60), max_size=8))
    return Ticket(draw(id32), SpaceId(draw(id32)), draw(signers).public, tuple(hints))
