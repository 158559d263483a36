"""The conversation about joining: who gets in, and what is in its mails."""

from __future__ import annotations

import dataclasses

import pytest
from lichen.config import DEFAULT_LIMITS
from lichen.core.pairing import DOMAIN, Accepted, Issuer, Joiner, JoinRequested
from lichen.crypto.identity import Identity
from lichen.crypto.link import prove
from lichen.crypto.noise import HandshakeState
from lichen.errors import HandshakeFailed, ProtocolError, TicketError
from lichen.ids import MemberId, OpId, SpaceId
from lichen.wire.membership import DeviceRecord
from lichen.wire.reader import Writer

from .pairing_sides import (
    ANN,
    CONVERSATION,
    EVE,
    HEADS,
    ISA,
    MEMBER,
    SPACE,
    TICKET,
    answered,
    issuer,
    joiner,
    until_request,
)

# As it should go


def test_who_holds_the_ticket_is_taken_in() -> None:
    ann, isa = joiner(), issuer()
    requested = until_request(ann, isa)
    assert requested == JoinRequested(TICKET.id, SPACE, MEMBER, ANN.record(SPACE, MEMBER), "Ann")
    assert ann.receive(isa.accept(HEADS)) == Accepted(tuple(sorted(HEADS)))


def test_a_refusal_says_why() -> None:
    ann, isa = joiner(), issuer()
    until_request(ann, isa)
    with pytest.raises(TicketError, match="used up") as caught:
        ann.receive(isa.refuse("the ticket is used up"))
    assert caught.value.hint


def test_every_mail_fits_what_a_relay_keeps() -> None:
    ann, isa = joiner(name="\U0001f600" * 64), issuer()
    sizes = [len(ann.pending)]
    second = answered(isa.receive(ann.pending))
    ann.receive(second)
    requested = isa.receive(ann.pending)
    assert isinstance(requested, JoinRequested)
    assert requested.name == "\U0001f600" * 64
    many = tuple(OpId(number.to_bytes(32, "big")) for number in range(100))
    sizes += [len(second), len(ann.pending), len(isa.accept(many))]
    assert max(sizes) < DEFAULT_LIMITS.mail_bytes
    accepted = ann.receive(isa.accept(many))
    assert accepted == Accepted(many[: DEFAULT_LIMITS.access_heads])


@pytest.mark.parametrize(
    ("given", "told"), [("x" * 100, "x" * 64), ("An\x1b[31mn\n", "An[31mn"), ("", ""), ("A\u202enn", "Ann")]
)
def test_a_name_is_told_in_printable_characters_only(given: str, told: str) -> None:
    assert until_request(joiner(name=given), issuer()).name == told


def test_a_reason_is_told_in_printable_characters_only() -> None:
    ann, isa = joiner(), issuer()
    until_request(ann, isa)
    with pytest.raises(TicketError) as caught:
        ann.receive(isa.refuse("no\x1b]0;title\x07" + "x" * 1_000))
    assert str(caught.value) == ("no]0;title" + "x" * 1_000)[:500]


# Mails lost, repeated, early


def test_mails_may_be_repeated_and_get_the_same_answers() -> None:
    ann, isa = joiner(), issuer()
    first = ann.pending
    second = answered(isa.receive(first))
    assert isa.receive(first) == second
    ann.receive(second)
    third = ann.pending
    assert ann.receive(second) is None
    assert ann.pending == third
    assert isinstance(isa.receive(third), JoinRequested)
    assert isa.receive(third) is None
    fourth = isa.accept(HEADS)
    assert isa.receive(third) == fourth
    assert isa.receive(first) == second
    assert isinstance(ann.receive(fourth), Accepted)
    assert ann.receive(fourth) is None


def test_an_answer_stands() -> None:
    ann, isa = joiner(), issuer()
    until_request(ann, isa)
    fourth = isa.accept(HEADS)
    assert isa.refuse("changed my mind") == fourth
    assert isa.accept(()) == fourth


def test_an_answer_that_came_too_early_is_no_answer() -> None:
    ann, isa = joiner(), issuer()
    twin = joiner()
    until_request(twin, isa)
    fourth = isa.accept(HEADS)
    assert ann.receive(fourth) is None
    assert until_request(ann, issuer()).name == "Ann"


def test_there_is_nothing_to_answer_before_the_request() -> None:
    isa = issuer()
    with pytest.raises(ValueError, match="nobody"):
        isa.accept(HEADS)
    isa.receive(joiner().pending)
    with pytest.raises(ValueError, match="nobody"):
        isa.refuse("no")


# Replays


def test_a_replayed_first_mail_has_no_effect_but_the_second() -> None:
    """Later, at an issuer that has forgotten: the conversation begins, and who replays cannot go on with it."""
    ann, isa = joiner(), issuer()
    first = ann.pending
    until_request(ann, isa)
    later = issuer(ephemeral=b"l" * 32)
    assert isinstance(later.receive(first), bytes)
    with pytest.raises(HandshakeFailed):
        later.receive(ann.pending)
    with pytest.raises(ValueError, match="nobody"):
        later.accept(HEADS)


def test_a_third_mail_belongs_to_its_conversation() -> None:
    ann, isa = joiner(), issuer()
    until_request(ann, isa)
    other = issuer()
    second_joiner = Joiner(ANN, TICKET, ephemeral=b"j" * 32, conversation=b"d" * 16, member=MEMBER, name="Ann")
    other.receive(second_joiner.pending)
    with pytest.raises(ProtocolError):
        other.receive(ann.pending)
    with pytest.raises(ProtocolError):
        other.receive(b"d" * 16 + ann.pending[16:])


def test_a_second_first_mail_does_not_take_a_conversation_over() -> None:
    ann, isa = joiner(), issuer()
    second = answered(isa.receive(ann.pending))
    eve = Joiner(EVE, TICKET, ephemeral=b"e" * 32, conversation=CONVERSATION, member=MEMBER, name="Eve")
    assert isa.receive(eve.pending) is None
    ann.receive(second)
    requested = isa.receive(ann.pending)
    assert isinstance(requested, JoinRequested)
    assert requested.device.key == ANN.device


# Wrong tickets, wrong issuers


def test_a_ticket_that_was_not_issued_here_gets_no_answer() -> None:
    with pytest.raises(ProtocolError, match="not issued here"):
        issuer().receive(joiner(ticket=dataclasses.replace(TICKET, seed=b"u" * 32)).pending)


def test_who_knows_only_the_ticket_id_does_not_get_in() -> None:
    """A relay sees the id of a ticket in the first mail; it lacks the seed."""
    isa = issuer()
    eve = Joiner(EVE, TICKET, ephemeral=b"e" * 32, conversation=CONVERSATION, member=MEMBER, name="Eve")
    eve._noise = HandshakeState(
        "XXpsk3",
        initiator=True,
        static=EVE.static_private,
        ephemeral=b"e" * 32,
        prologue=DOMAIN + TICKET.id + CONVERSATION,
        psk=b"a guess at the key, of 32 bytes.",
    )
    eve.pending = CONVERSATION + b"\x01" + TICKET.id + eve._noise.write_message(b"")
    eve.receive(answered(isa.receive(eve.pending)))
    with pytest.raises(HandshakeFailed):
        isa.receive(eve.pending)
    with pytest.raises(ValueError, match="nobody"):
        isa.accept(HEADS)


def test_only_the_issuer_of_the_ticket_can_answer() -> None:
    """Eve has the ticket too, and answers in Isa's place."""
    ann, eve = joiner(), issuer(identity=EVE)
    first = ann.pending
    with pytest.raises(HandshakeFailed, match="another device"):
        ann.receive(answered(eve.receive(first)))
    assert ann.pending == first
    assert until_request(ann, issuer()).device.key == ANN.device


def test_a_ticket_for_another_space_makes_a_record_that_is_refused() -> None:
    ann = joiner(ticket=dataclasses.replace(TICKET, space=SpaceId(b"z" * 32)))
    isa = issuer()
    ann.receive(answered(isa.receive(ann.pending)))
    with pytest.raises(ProtocolError, match="not signed"):
        isa.receive(ann.pending)


def test_a_ticket_that_is_not_open_any_more_gets_no_answer() -> None:
    isa = Issuer(ISA, ephemeral=b"i" * 32, lookup=lambda _: None)
    with pytest.raises(ProtocolError, match="not open"):
        isa.receive(joiner().pending)


# What comes in the third mail


def third_mail(isa: Issuer, request: bytes, *, identity: Identity = ANN, as_device: Identity = ANN) -> bytes:
    """The third mail of a ticket's holder who says what it wants."""
    noise = HandshakeState(
        "XXpsk3",
        initiator=True,
        static=identity.static_private,
        ephemeral=b"h" * 32,
        prologue=DOMAIN + TICKET.id + CONVERSATION,
        psk=TICKET.psk,
    )
    second = answered(isa.receive(CONVERSATION + b"\x01" + TICKET.id + noise.write_message(b"")))
    noise.read_message(second[17:])
    body = noise.write_message(lambda h: prove(as_device, initiator=True, handshake_hash=h) + request)
    return CONVERSATION + b"\x03" + body


def request_of(identity: Identity, name: bytes = b"Ann", member: MemberId = MEMBER) -> bytes:
    writer = Writer().raw(member, 16)
    identity.record(SPACE, MEMBER).write(writer)
    return writer.blob(name, 2).done()


def test_a_request_by_hand_is_as_the_joiners() -> None:
    isa = issuer()
    assert isinstance(isa.receive(third_mail(isa, request_of(ANN))), JoinRequested)


def test_nobody_can_ask_for_another_device() -> None:
    isa = issuer()
    with pytest.raises(ProtocolError, match="another device"):
        isa.receive(third_mail(isa, request_of(EVE)))
    isa = issuer()
    with pytest.raises(HandshakeFailed, match="could not prove"):
        isa.receive(third_mail(isa, request_of(EVE), identity=ANN, as_device=EVE))
    with pytest.raises(ValueError, match="nobody"):
        isa.accept(HEADS)


def test_a_record_must_be_of_the_very_keys_that_the_conversation_proved() -> None:
    """Ann's record with Eve's Noise key, and Eve's record with Ann's, each signed as it should be."""
    for signer, static_key in ((ANN.signer, EVE.static_key), (EVE.signer, ANN.static_key)):
        record = DeviceRecord.sign(
            space=SPACE, member=MEMBER, signer=signer, sealing_key=ANN.sealing_key, static_key=static_key
        )
        writer = Writer().raw(MEMBER, 16)
        record.write(writer)
        isa = issuer()
        with pytest.raises(ProtocolError, match="another device"):
            isa.receive(third_mail(isa, writer.blob(b"Ann", 2).done()))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        request_of(ANN)[:-1],
        request_of(ANN) + b"\0",
        request_of(ANN)[:100],
        request_of(ANN, name=b"x" * 65),
        request_of(ANN, name=b"x" * 300),
        request_of(ANN, name=b"\xff\xfe"),
        request_of(ANN, name=b"An\x1b[31m"),
        request_of(ANN, member=MemberId(b"n" * 16)),
        MEMBER + bytes(160) + b"\0\0",
    ],
    ids=["nothing", "cut", "longer", "cut early", "name", "long name", "not UTF-8", "escape", "other member", "zeros"],
)
def test_a_malformed_request_is_refused_and_a_good_one_still_works(request_bytes: bytes) -> None:
    isa = issuer()
    with pytest.raises(ProtocolError):
        isa.receive(third_mail(isa, request_bytes))
    with pytest.raises(ValueError, match="nobody"):
        isa.accept(HEADS)
    assert isinstance(isa.receive(third_mail(isa, request_of(ANN))), JoinRequested)


def test_a_first_mail_that_carries_something_is_refused() -> None:
    noise = HandshakeState(
        "XXpsk3",
        initiator=True,
        static=ANN.static_private,
        ephemeral=b"h" * 32,
        prologue=DOMAIN + TICKET.id + CONVERSATION,
        psk=TICKET.psk,
    )
    with pytest.raises(ProtocolError, match="carries something"):
        issuer().receive(CONVERSATION + b"\x01" + TICKET.id + noise.write_message(b"0-RTT"))


ANSWER = Writer().number(1, 1).blob(b"", 2).ids([], 2).done()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        ANSWER[:-1],
        ANSWER + b"\0",
        b"\x02" + ANSWER[1:],
        Writer().number(0, 1).blob(b"x" * 501, 2).ids([], 2).done(),
        Writer().number(0, 1).blob(b"\xff", 2).ids([], 2).done(),
        Writer().number(1, 1).blob(b"", 2).ids([b"2" * 32, b"1" * 32], 2).done(),
        Writer().number(1, 1).blob(b"", 2).ids([number.to_bytes(32, "big") for number in range(65)], 2).done(),
    ],
    ids=["nothing", "cut", "longer", "neither", "long reason", "not UTF-8", "unsorted heads", "many heads"],
)
def test_a_malformed_answer_is_refused(answer: bytes) -> None:
    ann, isa = joiner(), issuer()
    until_request(ann, isa)
    assert isa._sending is not None
    with pytest.raises(ProtocolError):
        ann.receive(CONVERSATION + b"\x04" + isa._sending.encrypt(b"", answer))
