"""What whoever carries the mails of a conversation about joining can do to it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen.config import DEFAULT_LIMITS
from lichen.core.pairing import Accepted, Issuer, Joiner, JoinRequested, OpenTicket
from lichen.errors import ProtocolError

from .pairing_sides import (
    ANN,
    CONVERSATION,
    HEADS,
    ISA,
    MEMBER,
    SPACE,
    TICKET,
    answered,
    issuer,
    joiner,
)


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(0, 10_000))
def test_a_flipped_bit_gets_nobody_in_and_spoils_nothing(number: int, bit: int) -> None:
    """Each altered mail is refused or ignored, and the true one that follows is taken."""
    ann, isa = joiner(), issuer()

    def altered(at: int, mail: bytes) -> bytes | None:
        if at != number:
            return None
        flipped = bytearray(mail)
        flipped[bit // 8 % len(flipped)] ^= 1 << bit % 8
        return bytes(flipped)

    def deliver(to: Joiner | Issuer, at: int, mail: bytes) -> Accepted | JoinRequested | bytes | None:
        changed = altered(at, mail)
        if changed is not None and at > 1:  # what is altered in the first mail begins another conversation, elsewhere
            with contextlib.suppress(ProtocolError):
                assert to.receive(changed) is None
        return to.receive(mail)

    changed_first = altered(1, ann.pending)
    if changed_first is not None:
        with contextlib.suppress(ProtocolError):
            reply = issuer().receive(changed_first)
            ann.receive(answered(reply) if reply is not None else b"")
        assert ann.pending[16] == 1
    reply = deliver(isa, 1, ann.pending)
    assert isinstance(reply, bytes)
    deliver(ann, 2, answered(reply))
    assert isinstance(deliver(isa, 3, ann.pending), JoinRequested)
    assert isinstance(deliver(ann, 4, isa.accept(HEADS)), Accepted)


@given(st.integers(0, 3), st.data())
@settings(max_examples=60)
def test_a_cut_mail_is_refused(number: int, data: st.DataObject) -> None:
    ann, isa = joiner(), issuer()
    first = ann.pending
    second = answered(isa.receive(first))
    to_isa = issuer()
    if number == 0:
        mail, to = first, to_isa
    elif number == 1:
        mail, to = second, ann
    else:
        ann.receive(second)
        mail, to = ann.pending, isa
        if number == 3:
            isa.receive(ann.pending)
            mail, to = isa.accept(HEADS), ann
    with pytest.raises(ProtocolError):
        to.receive(mail[: data.draw(st.integers(0, len(mail) - 1))])


@given(st.binary(max_size=400))
@settings(max_examples=150)
def test_any_bytes_raise_only_what_is_documented(mail: bytes) -> None:
    for to in (joiner(), issuer()):
        for body in (mail, CONVERSATION + mail, CONVERSATION + b"\x01" + TICKET.id + mail):
            with contextlib.suppress(ProtocolError):
                assert to.receive(body) is None


@pytest.mark.parametrize("number", [0, 1, 3, 5, 255])
def test_the_joiner_takes_only_what_an_issuer_sends(number: int) -> None:
    with pytest.raises(ProtocolError):
        joiner().receive(CONVERSATION + bytes((number,)) + bytes(100))


@pytest.mark.parametrize("number", [0, 2, 4, 5, 255])
def test_the_issuer_takes_only_what_a_joiner_sends(number: int) -> None:
    with pytest.raises(ProtocolError):
        issuer().receive(CONVERSATION + bytes((number,)) + bytes(100))


def test_a_mail_above_the_bound_is_refused() -> None:
    for to in (joiner(), issuer()):
        with pytest.raises(ProtocolError, match=str(DEFAULT_LIMITS.mail_bytes + 1)):
            to.receive(CONVERSATION + b"\x01" + bytes(DEFAULT_LIMITS.mail_bytes - 16))


def test_a_reflected_mail_is_refused() -> None:
    ann, isa = joiner(), issuer()
    with pytest.raises(ProtocolError):
        ann.receive(ann.pending)
    second = answered(isa.receive(ann.pending))
    with pytest.raises(ProtocolError):
        isa.receive(second)


def test_the_mails_show_nothing_of_who_joins() -> None:
    ann, isa = joiner(name="Ann of the relay's dreams"), issuer()
    first, second = ann.pending, answered(isa.receive(ann.pending))
    ann.receive(second)
    third = ann.pending
    isa.receive(third)
    seen = first + second + third + isa.accept(HEADS)
    for secret in (b"Ann of", ANN.device, ISA.device, ANN.static_key, MEMBER, SPACE, TICKET.seed, TICKET.psk, HEADS[0]):
        assert secret not in seen
    assert TICKET.id in seen


def test_an_open_ticket_does_not_show_its_key() -> None:
    assert "psk" not in repr(OpenTicket(SPACE, TICKET.psk))
