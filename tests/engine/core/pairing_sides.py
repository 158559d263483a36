"""The two sides of a conversation about joining, for tests."""

from __future__ import annotations

from lichen.core.pairing import Issuer, Joiner, JoinRequested, OpenTicket
from lichen.crypto.identity import Identity
from lichen.ids import MemberId, OpId, SpaceId
from lichen.wire.ticket import Ticket

ANN, ISA, EVE = (Identity(bytes((number,)) * 96) for number in (1, 2, 3))
SPACE = SpaceId(b"s" * 32)
MEMBER = MemberId(b"m" * 16)
TICKET = Ticket(b"t" * 32, SPACE, ISA.device)
CONVERSATION = b"c" * 16
HEADS = (OpId(b"\x02" * 32), OpId(b"\x01" * 32))


def joiner(identity: Identity = ANN, ticket: Ticket = TICKET, name: str = "Ann") -> Joiner:
    return Joiner(identity, ticket, ephemeral=b"j" * 32, conversation=CONVERSATION, member=MEMBER, name=name)


def issuer(identity: Identity = ISA, ticket: Ticket = TICKET, ephemeral: bytes = b"i" * 32) -> Issuer:
    known = {ticket.id: OpenTicket(ticket.space, ticket.psk)}
    return Issuer(identity, ephemeral=ephemeral, lookup=known.get)


def answered(reply: bytes | JoinRequested | None) -> bytes:
    assert isinstance(reply, bytes)
    return reply


def until_request(ann: Joiner, isa: Issuer) -> JoinRequested:
    assert ann.receive(answered(isa.receive(ann.pending))) is None
    requested = isa.receive(ann.pending)
    assert isinstance(requested, JoinRequested)
    return requested
