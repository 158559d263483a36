"""Joining with a ticket: the conversation between who holds it and the device that issued it.

Noise_XXpsk3_25519_ChaChaPoly_SHA256 under the ticket's key, in four mails that any link carries and a relay may keep::

    1  joiner   conversation 16 | 1 | ticket id 16 | Noise message 1
    2  issuer   conversation 16 | 2 | Noise message 2: the issuer proves which device it is
    3  joiner   conversation 16 | 3 | Noise message 3: the joiner's proof, and who wants to join
    4  issuer   conversation 16 | 4 | sealed: taken in or refused, and why

A relay learns the ticket's id (a hash) and that two devices talk; it can alter nothing. Either side answers a mail that
it has seen before with what it answered then, so mails may be repeated and lost. A mail that does not verify changes
nothing, so no conversation is spoilt by what a carrier adds to it. Nothing happens before the third mail verifies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lichen.config import DEFAULT_LIMITS
from lichen.crypto.identity import Identity
from lichen.crypto.link import PROOF_BYTES, prove, proven
from lichen.crypto.noise import CipherState, HandshakeState
from lichen.crypto.signing import verify
from lichen.errors import HandshakeFailed, InvalidOperation, ProtocolError, TicketError
from lichen.ids import MemberId, OpId, SpaceId
from lichen.wire.membership import DeviceRecord
from lichen.wire.reader import Reader, Writer
from lichen.wire.ticket import TICKET_ID_BYTES, Ticket

DOMAIN = b"lichen/pairing/v1"
CONVERSATION_BYTES = 16
NAME_CHARACTERS = 64
REASON_CHARACTERS = 500
_MOST_BYTES_PER_CHARACTER = 4
_ASK_AGAIN = "ask for a new ticket"


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """What is needed to answer who comes with a ticket."""

    space: SpaceId
    psk: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JoinRequested:
    """A device that holds the ticket wants to join; answer with `Issuer.accept` or `Issuer.refuse`."""

    ticket_id: bytes
    space: SpaceId
    member: MemberId
    """The joiner's choice: the caller must see that nobody in the space has it already."""
    device: DeviceRecord
    """Its own signature is verified, and that it is the device that sent the request."""
    name: str
    """How the joiner calls itself: printable, at most 64 characters, may be empty."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The issuer has taken this device in."""

    heads: tuple[OpId, ...]
    """The access log's heads at the issuer."""


def _handshake(
    identity: Identity, ticket_id: bytes, psk: bytes, conversation: bytes, *, initiator: bool, ephemeral: bytes
) -> HandshakeState:
    return HandshakeState(
        "XXpsk3",
        initiator=initiator,
        static=identity.static_private,
        ephemeral=ephemeral,
        prologue=DOMAIN + ticket_id + conversation,
        psk=psk,
    )


def _mail(conversation: bytes, number: int, body: bytes) -> bytes:
    return conversation + bytes((number,)) + body


def _open_mail(mail: bytes) -> tuple[bytes, int, bytes]:
    if not CONVERSATION_BYTES < len(mail) <= DEFAULT_LIMITS.mail_bytes:
        raise ProtocolError(f"a mail about joining cannot have {len(mail)} bytes")
    return mail[:CONVERSATION_BYTES], mail[CONVERSATION_BYTES], mail[CONVERSATION_BYTES + 1 :]


def _tidy(text: str, most: int) -> str:
    """Without what cannot be printed, cut to `most` characters."""
    return "".join(character for character in text if character.isprintable())[:most]


def _read_text(reader: Reader, most: int, of: str) -> str:
    try:
        text = reader.blob(2, _MOST_BYTES_PER_CHARACTER * most, of).decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{of} in a mail about joining is not UTF-8") from error
    if len(text) > most or not text.isprintable():
        raise ProtocolError(f"{of} in a mail about joining is too long or not printable")
    return text


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
        self._name = _tidy(name, NAME_CHARACTERS)
        self._receiving: CipherState | None = None
        self._finished = False
        self._noise = _handshake(identity, ticket.id, ticket.psk, conversation, initiator=True, ephemeral=ephemeral)
        self.pending = _mail(conversation, 1, ticket.id + self._noise.write_message(b""))
        """The mail to send, and to repeat until `receive` has changed it or returned `Accepted`."""

    @property
    def asked(self) -> bool:
        """Whether what is pending is the request itself: the issuer has answered the first mail."""
        return self._receiving is not None

    def receive(self, mail: bytes) -> Accepted | None:
        """Take a mail of this conversation; None when it is not the end of it, or came too early or again.

        Raises `TicketError` when the issuer refuses, `ProtocolError` for what the issuer cannot have sent; the latter
        changes nothing.
        """
        conversation, number, body = _open_mail(mail)
        if conversation != self._conversation or number not in (2, 4):
            raise ProtocolError("a mail about joining is not one that its issuer sends")
        if number == 2 and self._receiving is None:
            self._receive_second(body)
        elif number == 4 and self._receiving is not None and not self._finished:
            return self._receive_answer(self._receiving.decrypt(b"", body))
        return None

    def _receive_second(self, body: bytes) -> None:
        noise = self._noise.fork()
        if proven(noise, noise.read_message(body), initiator=False) != self._ticket.issuer:
            raise HandshakeFailed("another device than the ticket's issuer answered")
        request = self._request()
        third = noise.write_message(lambda h: prove(self._identity, initiator=True, handshake_hash=h) + request)
        _, self._receiving = noise.split()
        self.pending = _mail(self._conversation, 3, third)

    def _request(self) -> bytes:
        writer = Writer().raw(self._member, 16)
        self._identity.record(self._ticket.space, self._member).write(writer)
        return writer.blob(self._name.encode(), 2).done()

    def _receive_answer(self, answer: bytes) -> Accepted:
        self._finished = True
        reader = Reader(answer, "an answer about joining")
        accepted = reader.count(1, 0, 1, "for whether it is yes")
        reason = _read_text(reader, REASON_CHARACTERS, "the reason")
        heads = reader.ids(2, 0, DEFAULT_LIMITS.access_heads, "heads")
        reader.end()
        if not accepted:
            raise TicketError(reason or "the ticket was refused", hint=_ASK_AGAIN)
        return Accepted(tuple(OpId(head) for head in heads))


class Issuer:
    """The side that issued the ticket, for one conversation. `ephemeral` is 32 fresh random bytes.

    `lookup` finds an open ticket by its id of 16 bytes.
    """

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

        Raises `ProtocolError` for what cannot be the joiner's; it changes nothing.
        """
        if mail in self._replies:
            return self._replies[mail]
        conversation, number, body = _open_mail(mail)
        if number not in (1, 3) or (self._noise is not None and conversation != self._conversation):
            raise ProtocolError("a mail about joining is not one that its joiner sends")
        if number == 1 and self._noise is None:
            return self._receive_first(mail, conversation, body)
        if number == 3 and self._noise is not None and not self._third:
            return self._receive_third(mail, body)
        return None

    def _receive_first(self, mail: bytes, conversation: bytes, body: bytes) -> bytes:
        ticket_id, message = body[:TICKET_ID_BYTES], body[TICKET_ID_BYTES:]
        ticket = self._lookup(ticket_id)
        if ticket is None:
            raise ProtocolError("a mail is about a ticket that was not issued here, or is not open any more")
        noise = _handshake(
            self._identity, ticket_id, ticket.psk, conversation, initiator=False, ephemeral=self._ephemeral
        )
        if noise.read_message(message):
            raise ProtocolError("the first mail about joining carries something")
        second = noise.write_message(lambda h: prove(self._identity, initiator=False, handshake_hash=h))
        self._noise, self._ticket, self._ticket_id, self._conversation = noise, ticket, ticket_id, conversation
        self._replies[mail] = _mail(conversation, 2, second)
        return self._replies[mail]

    def _receive_third(self, mail: bytes, body: bytes) -> JoinRequested:
        assert self._noise is not None
        noise = self._noise.fork()
        payload = noise.read_message(body)
        device = proven(noise, payload[:PROOF_BYTES], initiator=True)
        requested = self._read_request(payload[PROOF_BYTES:])
        if requested.device.key != device or requested.device.static_key != noise.remote_static:
            raise ProtocolError("a request to join is about another device than the one that sent it")
        self._third = mail
        self._sending, _ = noise.split()
        return requested

    def _read_request(self, request: bytes) -> JoinRequested:
        assert self._ticket is not None
        reader = Reader(request, "a request to join", InvalidOperation)
        member = MemberId(reader.take(16))
        record = DeviceRecord.read(reader)
        name = _read_text(reader, NAME_CHARACTERS, "the name")
        reader.end()
        if not verify(record.key, record.signed_message(self._ticket.space, member), record.signature):
            raise ProtocolError("a device record is not signed by its device")
        return JoinRequested(self._ticket_id, self._ticket.space, member, record, name)

    def accept(self, heads: tuple[OpId, ...]) -> bytes:
        """The mail that says that the device was taken in. Who was answered once gets that answer again."""
        return self._answer(accepted=True, reason="", heads=heads)

    def refuse(self, reason: str) -> bytes:
        """The mail that says that it was not, and why. Who was answered once gets that answer again."""
        return self._answer(accepted=False, reason=_tidy(reason, REASON_CHARACTERS), heads=())

    def _answer(self, *, accepted: bool, reason: str, heads: tuple[OpId, ...]) -> bytes:
        if self._sending is None:
            raise ValueError("nobody has asked to join yet")
        if self._third not in self._replies:
            writer = (
                Writer()
                .number(accepted, 1)
                .blob(reason.encode(), 2)
                .ids(sorted(heads)[: DEFAULT_LIMITS.access_heads], 2)
            )
            self._replies[self._third] = _mail(self._conversation, 4, self._sending.encrypt(b"", writer.done()))
        return self._replies[self._third]
