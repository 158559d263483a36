"""Peers that ask, announce and send without end: what a node does and keeps for them is bounded."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import pytest
from lichen.config import Limits
from lichen.core.access.authoring import add_member, found_space
from lichen.core.effects import (
    CloseLink,
    Effect,
    ReadCatchUp,
    ReadMail,
    ReadSets,
    Send,
    StoreMail,
    StoreSpace,
    TellPresence,
)
from lichen.core.events import (
    CatchUpRead,
    Event,
    LinkCongested,
    LinkDrained,
    LinkOpened,
    MessageArrived,
    OperationsAuthored,
    PresenceSet,
    SetsRead,
    SpaceLoaded,
)
from lichen.core.greeting import MESSAGE_BYTES
from lichen.core.intake import known_of
from lichen.core.node import Node
from lichen.core.presence import AUTHOR_PLACES
from lichen.core.push import GRAFTED_SETS
from lichen.crypto import sealing
from lichen.crypto.identity import Identity
from lichen.ids import DeviceKey, DocId, MemberId, Session, SetId, SpaceId
from lichen.testing.access import Script, device
from lichen.testing.sets import Desk, Pen
from lichen.wire import frames
from lichen.wire.ephemeral import TO_ALL, EphemeralKind
from lichen.wire.operation import Operation, Role

PEER = device("ann").public


class Served:
    """A node to which ann's device, a writer in its space, is linked as number 1, and a stranger as number 2."""

    def __init__(self, *, relay: bool = False, **limits: int) -> None:
        identity = Identity(b"".join(hashlib.sha256(bytes((part,))).digest() for part in range(3)))
        smaller = dataclasses.replace(Limits(), **limits)  # type: ignore[arg-type]
        self.node = Node(identity, Session(bytes(16)), bytes(16), bytes(32), relay=relay, limits=smaller)
        self.script = Script()
        self.script.add("ann")
        self.space = self.node.state.begin(self.script.space)
        for operation in self.script.operations:
            self.space.log.add(operation)
        for number, peer in ((1, PEER), (2, DeviceKey(b"s" * 32))):
            self.feed(LinkOpened(number, peer, "memory", bytes(32), False, b""))
            self.hears(frames.Hello(frames.VERSION, False, bytes(16), b"", ()), number)

    def feed(self, event: Event) -> list[Effect]:
        """What an event leads to."""
        return self.node.handle(event, 0.0)

    def hears(self, message: frames.Message, link: int = 1) -> list[Effect]:
        """A message comes over a link."""
        return self.feed(MessageArrived(link, message))

    def shows(self, operations: Sequence[Operation]) -> list[Effect]:
        """A stranger shows a space."""
        bodies = tuple(operation.encode() for operation in operations)
        return self.hears(frames.Access(SpaceId(operations[0].id), (), bodies), 2)


def of(kind: type[Effect], effects: list[Effect]) -> list[Effect]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def forged(operation: Operation) -> Operation:
    """With another signature."""
    return Operation.decode(operation.encode()[:-64] + bytes(64))


def presence_of(served: Served, counter: int, by: str = "ann") -> frames.Ephemeral:
    """Presence of a device in a document of its own choice."""
    key = bytes(32)
    served.space.keys[sealing.epoch_id(key)] = key
    message = sealing.seal_ephemeral(
        kind=EphemeralKind.PRESENCE,
        space=served.space.id,
        doc=DocId(counter.to_bytes(16, "big")),
        session=Session(bytes(16)),
        counter=counter,
        to=TO_ALL,
        payload=b"here",
        epoch_key=key,
        signer=device(by),
        random=bytes(32),
    )
    return frames.Ephemeral(message.encode())


@pytest.mark.parametrize("bad", [0, 1])
def test_a_space_with_a_forged_operation_makes_no_space_at_a_relay(bad: int) -> None:
    relay = Served(relay=True)
    other = Script("mallory")
    other.add("eve", by="mallory")
    operations = list(other.operations)
    operations[bad] = forged(operations[bad])
    effects = relay.shows(operations)
    assert of(CloseLink, effects)
    assert not of(StoreSpace, effects)
    assert other.space not in relay.node.state.spaces
    assert of(StoreSpace, relay.shows(other.operations))


def test_a_space_whose_genesis_a_relay_lost_in_a_crash_is_taken_anew() -> None:
    relay, other = Served(relay=True), Script("mallory")
    relay.feed(SpaceLoaded(other.space, (), (), ()))
    (asked,) = of(Send, relay.hears(frames.Access(other.space, (other.genesis.id,), ()), 2))
    assert isinstance(asked, Send)
    assert asked.message == frames.Access(other.space, (), ())
    assert of(StoreSpace, relay.shows(other.operations))
    assert relay.node.state.spaces[other.space].log.heads


def test_a_message_of_operations_that_is_larger_than_any_node_sends_ends_the_link() -> None:
    served = Served()
    body = served.script.genesis.encode()
    many = (body,) * (MESSAGE_BYTES // len(body) + 1)
    assert of(CloseLink, served.hears(frames.Access(served.space.id, (), many)))


@pytest.mark.parametrize("relay", [False, True])
def test_a_peer_that_names_spaces_without_end_is_cut_off(relay: bool) -> None:
    served = Served(relay=relay, spaces=8)
    closed: list[Effect] = []
    for number in range(20):
        name = SpaceId(hashlib.sha256(bytes((number,))).digest())
        closed += of(CloseLink, served.hears(frames.Access(name, (), ()), 2))
        closed += of(CloseLink, served.hears(frames.Settled(name, 1), 2))
    assert closed
    assert len(served.node.state.links[2].spaces) <= 8


def test_pulls_that_come_during_a_catch_up_are_served_by_one_more() -> None:
    served = Served()
    asked = of(ReadCatchUp, served.hears(frames.Pull(served.space.id, 1, 0, ())))
    for since in range(1, 50):
        asked += of(ReadCatchUp, served.hears(frames.Pull(served.space.id, 1 + since, since, ())))
    assert len(asked) == 1
    again = of(ReadCatchUp, served.feed(CatchUpRead(1, served.space.id, (), 60, True)))
    assert [effect.since for effect in again if isinstance(effect, ReadCatchUp)] == [49]
    last = served.feed(CatchUpRead(1, served.space.id, (), 60, True))
    assert not of(ReadCatchUp, last)
    told = [effect.message for effect in last if isinstance(effect, Send)]
    assert told == [frames.Position(served.space.id, 60, 50)]
    assert served.node.state.links[1].spaces[served.space.id].live


def test_a_graft_of_everything_reads_a_bounded_part_and_nothing_for_a_congested_link() -> None:
    served = Served()
    first = Pen(Desk(served.script)).create()
    shorts = []
    for number in range(GRAFTED_SETS + 10):
        set_id = SetId(hashlib.sha256(number.to_bytes(4, "big")).digest())
        served.space.add(set_id, known_of(first, None))
        shorts.append(set_id[:8])
    graft = frames.Graft(served.space.id, tuple(shorts), ())
    (read,) = of(ReadSets, served.hears(graft))
    assert isinstance(read, ReadSets)
    assert len(read.ids) == GRAFTED_SETS
    asked_before = SetsRead(1, served.space.id, (first.encode(),))
    assert of(Send, served.feed(asked_before))
    served.feed(LinkCongested(1))
    assert not of(ReadSets, served.hears(graft))
    assert not of(Send, served.feed(asked_before))


def test_a_congested_link_is_not_sent_the_access_log_again_and_again_but_once_it_has_drained() -> None:
    served = Served()
    ask = frames.Access(served.space.id, (), ())
    assert of(Send, served.hears(ask))
    served.feed(LinkCongested(1))
    assert not of(Send, [effect for _ in range(9) for effect in served.hears(ask)])
    sent = of(Send, served.feed(LinkDrained(1)))
    operations = [
        len(e.message.operations) for e in sent if isinstance(e, Send) and isinstance(e.message, frames.Access)
    ]
    assert operations == [2]


def test_mail_for_a_congested_link_is_kept_until_it_has_drained() -> None:
    relay = Served(relay=True)
    mail = frames.Mail(PEER, bytes(32), b"mail")
    assert of(Send, relay.hears(mail, 2))
    relay.feed(LinkCongested(1))
    effects = relay.hears(mail, 2)
    assert of(StoreMail, effects)
    assert not of(Send, effects)
    assert of(ReadMail, relay.feed(LinkDrained(1)))


def test_who_pulls_again_and_again_over_a_congested_link_is_not_shown_who_is_here() -> None:
    owner, guest, member = Identity(b"o" * 96), Identity(b"g" * 96), MemberId(b"g" * 16)
    node = Node(owner, Session(bytes(16)), bytes(16), bytes(32))
    key, first = b"k" * 32, MemberId(b"o" * 16)
    founded = found_space(owner, member=first, nonce=key, recovery_seed=key, epoch_key=key, time=1)
    node.handle(SpaceLoaded(founded.space, founded.operations, (), ()), 0.0)
    log = node.state.spaces[founded.space].log
    record = guest.record(founded.space, member)
    added = add_member(log, owner.signer, member=member, role=Role.RELAY, devices=(record,), time=2)
    node.handle(OperationsAuthored(founded.space, (added,)), 0.0)
    node.handle(LinkOpened(1, guest.device, "memory", bytes(32), False, b""), 0.0)
    node.handle(MessageArrived(1, frames.Hello(frames.VERSION, False, bytes(16), b"", ())), 0.0)
    node.handle(PresenceSet(founded.space, DocId(b"d" * 16), b"here"), 0.0)
    pull = MessageArrived(1, frames.Pull(founded.space, 1, 0, ()))
    assert shown(node.handle(pull, 0.0))
    node.handle(LinkCongested(1), 0.0)
    assert not shown(node.handle(pull, 0.0))


def shown(effects: list[Effect]) -> list[Effect]:
    """What is sent of presence."""
    return [effect for effect in effects if isinstance(effect, Send) and isinstance(effect.message, frames.Ephemeral)]


def test_what_a_member_sealed_wrongly_is_not_held_against_the_link_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = Served()
    with monkeypatch.context() as patched:
        patched.setattr(sealing, "RAW", 7)
        wrong = presence_of(served, 1)
    assert served.hears(wrong) == []
    assert of(TellPresence, served.hears(presence_of(served, 2)))


def test_one_device_that_shows_itself_everywhere_leaves_room_for_others() -> None:
    served = Served()
    served.script.add("bob")
    served.space.log.add(served.script.last)
    told = [of(TellPresence, served.hears(presence_of(served, counter))) for counter in range(1, AUTHOR_PLACES + 3)]
    assert [len(effects) for effects in told] == [1] * AUTHOR_PLACES + [0, 0]
    assert of(TellPresence, served.hears(presence_of(served, 1, by="bob")))


@pytest.mark.parametrize("token", [b"", b"tok", b"token!"])
def test_a_relay_with_a_token_takes_new_spaces_only_from_who_shows_exactly_it(token: bytes) -> None:
    relay, other = Served(relay=True), Script("mallory")
    relay.node.state.token = b"token"
    link = relay.node.state.links[2]
    assert link.hello is not None
    link.hello = dataclasses.replace(link.hello, token=token)
    assert not of(StoreSpace, relay.shows(other.operations))
    link.hello = dataclasses.replace(link.hello, token=b"token")
    assert of(StoreSpace, relay.shows(other.operations))
