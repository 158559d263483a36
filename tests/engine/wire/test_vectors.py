"""The frozen vectors: what is computed today is what was written down, in `vectors.json` and in the reference.

A vector never changes. Bytes that depend on a random source inside HPKE, or on the version of the deflate library, are
only opened, not made again.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from lichen.core.actors import actor_id
from lichen.crypto.lockbox import open_earlier, seal_earlier, unwrap_epoch_key
from lichen.crypto.padding import padded_length
from lichen.crypto.recovery import RecoveryKey
from lichen.crypto.sealing import epoch_id, merge_tip, open_ephemeral, open_set, seal_ephemeral, seal_set, tip
from lichen.ids import MemberId, Session, SpaceId
from lichen.testing.strategies import ALICE, BOB, verifies
from lichen.wire.changeset import ChangeSet, Kind, create_prev, doc_id
from lichen.wire.dictionary import Packer, Unpacker
from lichen.wire.ephemeral import TO_ALL, Ephemeral, EphemeralKind
from lichen.wire.operation import (
    AddDevice,
    AddMember,
    Body,
    Epoch,
    Genesis,
    Merge,
    Operation,
    Role,
    Wrap,
    WrapKeys,
)
from lichen.wire.ticket import Ticket

HERE = Path(__file__).parent
REFERENCE = HERE.parents[2] / "docs" / "reference" / "wire.md"
FROZEN: dict[str, Any] = json.loads((HERE / "vectors.json").read_text())

EPOCH_KEY = b"\x01" * 32
EARLIER_KEY = b"\x02" * 32
RANDOM = b"\x03" * 32
MEMBER, OTHER_MEMBER = MemberId(b"\x04" * 16), MemberId(b"\x05" * 16)
SESSION = Session(b"\x06" * 16)
NONCE = b"\x07" * 16
TIME = 1_700_000_000_000 << 16
RECOVERY = RecoveryKey(b"\x08" * 32)
CHANGES = [b"first change", b"second change"]


def genesis() -> Operation:
    record = ALICE.record(SpaceId(bytes(32)), MEMBER)
    body = Genesis(MEMBER, record, b"\x09" * 32, 0, RECOVERY.hash)
    return Operation.sign(body, space=SpaceId(bytes(32)), parents=(), time=TIME, signer=ALICE)


SPACE = genesis().space
EPOCH = epoch_id(EPOCH_KEY)
DOC = doc_id(SPACE, ALICE.public, NONCE)


def frozen_wraps() -> tuple[Wrap, ...]:
    keys = {"alice": ALICE.sealing_key, "recovery": RECOVERY.sealing_key}
    wraps = [Wrap(key, bytes.fromhex(FROZEN["lockbox"][name])) for name, key in keys.items()]
    return tuple(sorted(wraps, key=lambda wrap: wrap.recipient))


def operations() -> dict[str, Operation]:
    bob = BOB.record(SPACE, OTHER_MEMBER)
    earlier = seal_earlier([EARLIER_KEY], EPOCH_KEY, SPACE, RANDOM)
    bodies: dict[str, Body] = {
        "add_member": AddMember(OTHER_MEMBER, Role.WRITER, (bob,)),
        "add_device": AddDevice(OTHER_MEMBER, bob),
        "epoch": Epoch(1, EPOCH, RECOVERY.public, RECOVERY.sealing_key, frozen_wraps(), earlier),
        "wrap": WrapKeys(EPOCH, frozen_wraps()),
        "merge": Merge(),
    }
    made = {"genesis": genesis()}
    parents = [made["genesis"].id]
    for name, body in bodies.items():
        made[name] = Operation.sign(body, space=SPACE, parents=parents, time=TIME + 1, signer=ALICE)
    return made


def change_sets() -> dict[str, ChangeSet]:
    same: dict[str, Any] = {
        "space": SPACE,
        "doc": DOC,
        "session": SESSION,
        "access": [genesis().id],
        "epoch_key": EPOCH_KEY,
        "signer": ALICE,
        "random": RANDOM,
    }
    create = seal_set(kind=Kind.CREATE, seq=1, prev=create_prev(NONCE), time=TIME, deps=[], changes=CHANGES[:1], **same)
    changes = seal_set(
        kind=Kind.CHANGES, seq=2, prev=create.id, time=TIME + 1, deps=[create.id], changes=CHANGES, **same
    )
    deps = sorted([create.id, changes.id])
    tips = [{create.id: create, changes.id: changes}[dep].header.tip for dep in deps]
    merge = seal_set(
        kind=Kind.MERGE, seq=3, prev=changes.id, time=TIME + 2, deps=deps, changes=[], dep_tips=tips, **same
    )
    return {"create": create, "changes": changes, "merge": merge}


def ephemeral() -> Ephemeral:
    return seal_ephemeral(
        kind=EphemeralKind.PRESENCE,
        space=SPACE,
        doc=DOC,
        session=SESSION,
        counter=1,
        to=TO_ALL,
        payload=b"here",
        epoch_key=EPOCH_KEY,
        signer=ALICE,
        random=RANDOM,
    )


def ticket() -> Ticket:
    return Ticket(b"\x0a" * 32, SPACE, ALICE.public, ("ws://relay.example:8090",))


def derived() -> dict[str, str]:
    values = {
        "epoch_id": EPOCH,
        "doc_id": DOC,
        "actor_id": actor_id(ALICE.public, DOC, SESSION),
        "tip": tip(EPOCH_KEY, b"\x0b" * 32),
        "merge_tip": merge_tip(EPOCH_KEY, [b"\x0c" * 32, b"\x0d" * 32]),
        "recovery_hash": RECOVERY.hash,
        "recovery_signing_key": RECOVERY.public,
        "recovery_sealing_key": RECOVERY.sealing_key,
        "ticket_id": ticket().id,
        "ticket_psk": ticket().psk,
        "earlier": seal_earlier([EARLIER_KEY], EPOCH_KEY, SPACE, RANDOM),
    }
    return {name: value.hex() for name, value in values.items()}


def packed() -> list[str]:
    packer = Packer()
    return [packer.pack(change_set.encode()).hex() for change_set in change_sets().values()]


def computed() -> dict[str, Any]:
    """Everything that can be made again."""
    lengths = (0, 32, 33, 100, 121, 1_000, 1_025, 65_537, 4_128_768)
    return {
        "derived": derived(),
        "change_sets": {name: made.encode().hex() for name, made in change_sets().items()},
        "change_set_ids": {name: made.id.hex() for name, made in change_sets().items()},
        "operations": {name: made.encode().hex() for name, made in operations().items()},
        "operation_ids": {name: made.id.hex() for name, made in operations().items()},
        "ephemeral": ephemeral().encode().hex(),
        "packed": packed(),
        "padded": {str(length): padded_length(length) for length in lengths},
        "recovery_text": RECOVERY.text,
        "ticket": ticket().encode(),
    }


def keys() -> dict[str, dict[str, str]]:
    """The private keys of the vectors' devices: hashes of what they are for and of a name."""
    return {
        name: {kind: hashlib.sha256(f"{kind} {name}".encode()).hexdigest() for kind in ("sign", "seal", "static")}
        for name in ("alice", "bob")
    }


@pytest.mark.parametrize("name", list(computed()))
def test_what_is_computed_is_what_was_frozen(name: str) -> None:
    assert computed()[name] == FROZEN[name]


def test_the_keys_are_those_written_down() -> None:
    assert keys() == FROZEN["keys"]
    assert ALICE.public.hex() == FROZEN["public"]["alice"]
    assert BOB.public.hex() == FROZEN["public"]["bob"]


@pytest.mark.parametrize("name", ["create", "changes", "merge", "deflated"])
def test_frozen_change_sets_open(name: str) -> None:
    change_set = ChangeSet.decode(bytes.fromhex(FROZEN["change_sets" if name != "deflated" else name][name]))
    assert verifies(ALICE.public, change_set.signed_message, change_set.signature)
    expected = {"create": CHANGES[:1], "changes": CHANGES, "merge": [], "deflated": [b"again and again " * 40]}
    assert open_set(change_set, EPOCH_KEY) == expected[name]


def test_frozen_operations_verify() -> None:
    for encoded in FROZEN["operations"].values():
        assert all(verifies(*check) for check in Operation.decode(bytes.fromhex(encoded)).signature_checks())


def test_frozen_wraps_and_earlier_keys_open() -> None:
    for name, reader in (("alice", ALICE), ("recovery", RECOVERY)):
        wrapped = bytes.fromhex(FROZEN["lockbox"][name])
        assert unwrap_epoch_key(wrapped, reader, SPACE, EPOCH) == EPOCH_KEY
    earlier = bytes.fromhex(FROZEN["derived"]["earlier"])
    assert open_earlier(earlier, EPOCH_KEY, SPACE) == {epoch_id(EARLIER_KEY): EARLIER_KEY}


def test_the_frozen_message_opens() -> None:
    message = Ephemeral.decode(bytes.fromhex(FROZEN["ephemeral"]))
    assert verifies(ALICE.public, message.signed_message, message.signature)
    assert open_ephemeral(message, EPOCH_KEY) == b"here"


def test_frozen_texts_are_read() -> None:
    assert Ticket.parse(FROZEN["ticket"]) == ticket()
    assert RecoveryKey.parse(FROZEN["recovery_text"]).public == RECOVERY.public


def test_frozen_packs_are_unpacked() -> None:
    unpacker = Unpacker()
    unpacked = [unpacker.unpack(bytes.fromhex(one)).hex() for one in FROZEN["packed"]]
    assert unpacked == list(FROZEN["change_sets"].values())


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [string for item in value.values() for string in strings(item)]
    if isinstance(value, list):
        return [string for item in value for string in strings(item)]
    return [str(value)]


def test_the_reference_shows_every_vector() -> None:
    page = re.sub(r"\s", "", REFERENCE.read_text())
    missing = [value for value in strings(FROZEN) if value not in page]
    assert not missing
