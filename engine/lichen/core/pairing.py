"""Joining with a ticket: the conversation between who holds it and the device that issued it.

Noise_XXpsk3_25519_ChaChaPoly_SHA256 under the ticket's key, in four mails that any link may carry and a relay may
keep::

    1  joiner   conversation 16 | 1 | ticket id 16 | Noise message 1
    2  issuer   conversation 16 | 2 | Noise message 2: the issuer proves which device it is
    3  joiner   conversation 16 | 3 | Noise message 3: the joiner's proof, and who wants to join
    4  issuer   conversation 16 | 4 | sealed: taken in or refused, and why

A relay learns the ticket's id (a hash) and that two devices talk; it can alter nothing. Either side answers a mail
that it has seen before with what it answered then, so mails may be repeated and lost. Nothing happens before the
third mail verifies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cbor2

from lichen.crypto.identity import Identity
from lichen.crypto.link import identity_message
from lichen.crypto.noise import CipherState, HandshakeState
from lichen.crypto.signing import verify, verify_many
from lichen.errors import HandshakeFailed, InvalidOperation, ProtocolError, TicketError
from lichen.ids import DeviceKey, MemberId, OpId, SpaceId
from lichen.wire.membership import DeviceRecord
from lichen.wire.reader import Reader, Writer
from lichen.wire.ticket import Ticket

CONVERSATION_BYTES = 16
NAME_CHARACTERS = 64
REASON_CHARACTERS = 500
_PROOF_BYTES = 96
_ROLE_JOINER, _ROLE_ISSUER = True, False


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """What is needed to answer who comes with a ticket."""

    space: SpaceId
    psk: bytes


@dataclass(frozen=True, slots=True)
class JoinRequested:
    """A device that holds the ticket wants to join; answer with `Issuer.accept` or `Issuer.refuse`."""

    ticket_id: bytes
    space: SpaceId
    member: MemberId
    device: DeviceRecord
    name: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The issuer has taken this device in."""

    heads: tuple[OpId, ...]
    """The access log's heads at the issuer."""


def _prologue(ticket_id: bytes, conversation: bytes) -> bytes:
    return b"lichen/pairing/v1" + ticket_id + conversation


def _prove(identity: Identity, joiner: bool) -> Callable[[bytes], bytes]:
    def proof(handshake_hash: bytes) -> bytes:
        message = identity_message(joiner, identity.static_key, handshake_hash)
        return identity.device + identity.signer.sign(message)

    return proof


def _proven(noise: HandshakeState, proof: bytes, joiner: bool) -> DeviceKey:
    device, signature = DeviceKey(proof[:32]), proof[32:_PROOF_BYTES]
    message = identity_message(joiner, noise.remote_static or b"", noise.hash_before_payload)
    if len(proof) != _PROOF_BYTES or not verify(device, message, signature):
        raise HandshakeFailed("the other side could not prove which device it is")
    return device


def _mail(conversation: bytes, number: int, body: bytes) -> bytes:
    return conversation + bytes((number,)) + body


def _open_mail(mail: bytes) -> tuple[int, bytes]:
    if len(mail) <= CONVERSATION_BYTES:
        raise ProtocolError("a mail about joining is cut short")
    return mail[CONVERSATION_BYTES], mail[CONVERSATION_BYTES + 1 :]


def _cbor(data: bytes, fields: int) -> list[Any]:
    try:
        value = cbor2.loads(data)
    except Exception as error:  # cbor2 raises errors of many kinds on malformed input
        raise ProtocolError("what came with a mail about joining is not CBOR") from error
    if type(value) is not list or len(value) != fields:
        raise ProtocolError("what came with a mail about joining has another shape")
    return value


class Joiner:
    """The side that holds the ticket. `ephemeral` is 32, `conversation` and `member` are 16 fresh random bytes."""

    def __init__(
        self,
        identity: Identity,
        ticket: Ticket,
        *,
        ephemeral: bytes,
        conversation: bytes,
        member: MemberId,
        name: str,
    ) -> None:
        self._identity = identity
        self._ticket = ticket
        self._conversation = conversation
        self._member = member
        self._name = name[:NAME_CHARACTERS]
        self._receiving: CipherState | None = None
        self._noise = HandshakeState(
            "XXpsk3",
            initiator=True,
            static=identity.static_private,
            ephemeral=ephemeral,
            prologue=_prologue(ticket.id, conversation),
            psk=ticket.psk,
        )
        self.pending = _mail(conversation, 1, ticket.id + self._noise.write_message(b""))
        """The mail to send, and to repeat until `receive` has changed it or returned `Accepted`."""

    def receive(self, mail: bytes) -> Accepted | None:
        """Take a mail of this conversation; None when it is not the end of it.

        Raises `TicketError` when the issuer refuses, `ProtocolError` for what the issuer cannot have sent.
        """
        number, body = _open_mail(mail)
        if number == 2 and self._receiving is None:
            self._receive_second(body)
            return None
        if number == 4 and self._receiving is not None:
            return self._receive_answer(body)
        return None

    def _receive_second(self, body: bytes) -> None:
        proof = self._noise.read_message(body)
        if _proven(self._noise, proof, _ROLE_ISSUER) != self._ticket.issuer:
            raise HandshakeFailed("another device than the ticket's issuer answered")
        record = self._identity.record(self._ticket.space, self._member)
        writer = Writer()
        record.write(writer)
        request = cbor2.dumps([self._member, writer.done(), self._name])
        third = self._noise.write_message(lambda h: _prove(self._identity, _ROLE_JOINER)(h) + request)
        _, self._receiving = self._noise.split()
        self.pending = _mail(self._conversation, 3, third)

    def _receive_answer(self, body: bytes) -> Accepted:
        assert self._receiving is not None
        accepted, reason, heads = _cbor(self._receiving.decrypt(b"", body), 3)
        if type(reason) is not str or type(heads) is not list or any(type(h) is not bytes for h in heads):
            raise ProtocolError("an answer about joining has another shape")
        if accepted is not True:
            raise TicketError(reason[:REASON_CHARACTERS] or "the ticket was refused", hint="ask for a new ticket")
        return Accepted(tuple(OpId(head) for head in heads))


class Issuer:
    """The side that issued the ticket, for one conversation. `ephemeral` is 32 fresh random bytes."""

    def __init__(self, identity: Identity, *, ephemeral: bytes, lookup: Callable[[bytes], OpenTicket | None]) -> None:
        self._identity = identity
        self._ephemeral = ephemeral
        self._lookup = lookup
        self._noise: HandshakeState | None = None
        self._sending: CipherState | None = None
        self._conversation = b""
        self._ticket_id = b""
        self._ticket: OpenTicket | None = None
        self._replies: dict[bytes, bytes] = {}
        """What was answered to each mail."""
        self._third = b""

    def receive(self, mail: bytes) -> bytes | JoinRequested | None:
        """Take a mail: returns the mail to answer with, or who wants to join, or None when there is nothing to do.

        Raises `ProtocolError`.
        """
        if mail in self._replies:
            return self._replies[mail]
        number, body = _open_mail(mail)
        if number == 1 and self._noise is None:
            return self._receive_first(mail, body)
        if number == 3 and self._noise is not None and not self._third:
            return self._receive_third(mail, body)
        return None

    def _receive_first(self, mail: bytes, body: bytes) -> bytes:
        ticket_id, message = body[:16], body[16:]
        ticket = self._lookup(ticket_id)
        if ticket is None:
            raise ProtocolError("a mail is about a ticket that was not issued here")
        conversation = mail[:CONVERSATION_BYTES]
        noise = HandshakeState(
            "XXpsk3",
            initiator=False,
            static=self._identity.static_private,
            ephemeral=self._ephemeral,
            prologue=_prologue(ticket_id, conversation),
            psk=ticket.psk,
        )
        if noise.read_message(message):
            raise ProtocolError("the first mail about joining carries something")
        self._noise, self._ticket, self._ticket_id, self._conversation = noise, ticket, ticket_id, conversation
        reply = _mail(conversation, 2, noise.write_message(_prove(self._identity, _ROLE_ISSUER)))
        self._replies[mail] = reply
        return reply

    def _receive_third(self, mail: bytes, body: bytes) -> JoinRequested:
        assert self._noise is not None
        assert self._ticket is not None
        payload = self._noise.read_message(body)
        device = _proven(self._noise, payload[:_PROOF_BYTES], _ROLE_JOINER)
        member, record, name = _cbor(payload[_PROOF_BYTES:], 3)
        if type(member) is not bytes or len(member) != 16 or type(record) is not bytes or type(name) is not str:
            raise ProtocolError("a request to join has another shape")
        found = self._record(record, MemberId(member))
        if found.key != device or found.static_key != self._noise.remote_static:
            raise ProtocolError("a request to join is about another device than the one that sent it")
        self._third = mail
        self._sending, _ = self._noise.split()
        return JoinRequested(self._ticket_id, self._ticket.space, MemberId(member), found, name[:NAME_CHARACTERS])

    def _record(self, data: bytes, member: MemberId) -> DeviceRecord:
        assert self._ticket is not None
        reader = Reader(data, "a device record", InvalidOperation)
        record = DeviceRecord.read(reader)
        reader.end()
        message = record.signed_message(self._ticket.space, member)
        if not verify_many([(record.key, message, record.signature)])[0]:
            raise ProtocolError("a device record is not signed by its device")
        return record

    def accept(self, heads: tuple[OpId, ...]) -> bytes:
        """The mail that says that the device was taken in."""
        return self._answer([True, "", list(heads)])

    def refuse(self, reason: str) -> bytes:
        """The mail that says that it was not, and why."""
        return self._answer([False, reason[:REASON_CHARACTERS], []])

    def _answer(self, value: list[Any]) -> bytes:
        if self._sending is None:
            raise ProtocolError("nobody has asked to join yet")
        reply = _mail(self._conversation, 4, self._sending.encrypt(b"", cbor2.dumps(value)))
        self._replies[self._third] = reply
        return reply
