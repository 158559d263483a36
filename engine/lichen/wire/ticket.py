"""Tickets: an invitation into a space as one string that can be copied or shown as a QR code.

Whoever holds the text can ask its issuer, and only its issuer, for membership. What the ticket grants, how often and
until when is kept by the issuer and is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lichen.errors import ProtocolError, TicketError
from lichen.ids import DeviceKey, SpaceId
from lichen.wire import base32, domains
from lichen.wire.keys import is_acceptable_ed25519
from lichen.wire.reader import Reader, Writer

PREFIX: Final = "lichen1"
TEXT_CHARACTERS: Final = 4_096
"""Longest text that is looked at."""
HINTS: Final = 8
HINT_BYTES: Final = 256
SEED_BYTES: Final = 32
TICKET_ID_BYTES: Final = 16

_AGAIN: Final = "ask for the ticket again, and copy all of it"


@dataclass(frozen=True, slots=True)
class Ticket:
    """An invitation."""

    seed: bytes = field(repr=False)
    """32 random bytes: the secret that proves the invitation."""
    space: SpaceId
    issuer: DeviceKey
    """The only device that answers."""
    hints: tuple[str, ...] = ()
    """Up to 8 addresses, of at most 256 bytes in UTF-8, where the issuer or a relay of the space may be found."""

    @property
    def id(self) -> bytes:
        """16 bytes that name the ticket without giving it away."""
        return ticket_id(self.seed)

    @property
    def psk(self) -> bytes:
        """32 bytes: the pre-shared key of the XXpsk3 handshake with the issuer."""
        return ticket_psk(self.seed)

    def encode(self) -> str:
        """The text. Raises `TicketError` when a field is too long."""
        try:
            writer = Writer().raw(self.seed, SEED_BYTES).raw(self.space, 32).raw(self.issuer, 32)
            writer.number(len(self.hints), 1)
            for hint in self.hints:
                writer.blob(hint.encode(), 2)
            body = writer.done()
            _decode(body)
        except (ValueError, ProtocolError) as error:
            hint = f"give at most {HINTS} addresses, each of at most {HINT_BYTES} bytes"
            raise TicketError(f"this ticket cannot be written: {error}", hint=hint) from error
        return PREFIX + base32.to_text(body, domains.TICKET_TEXT)

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """The ticket in `text`; white space, line breaks and case do not matter. Raises `TicketError`."""
        if len(text) > TEXT_CHARACTERS:
            raise TicketError(f"a ticket is at most {TEXT_CHARACTERS} characters long", hint=_AGAIN)
        tidy = base32.tidy(text)
        if not tidy.startswith(PREFIX):
            raise TicketError(f"a ticket begins with {PREFIX}", hint=_AGAIN)
        try:
            return _decode(base32.from_text(tidy[len(PREFIX) :], domains.TICKET_TEXT))
        except (ValueError, ProtocolError) as error:
            raise TicketError(f"this is not a whole ticket: {error}", hint=_AGAIN) from error


def _decode(body: bytes) -> Ticket:
    reader = Reader(body, "a ticket")
    seed, space, issuer = (reader.take(SEED_BYTES), SpaceId(reader.take(32)), DeviceKey(reader.take(32)))
    count = reader.count(1, 0, HINTS, "addresses")
    hints = tuple(_hint(reader.blob(2, HINT_BYTES, "an address")) for _ in range(count))
    reader.end()
    if not is_acceptable_ed25519(issuer):
        raise ProtocolError("its issuer's key is not acceptable")
    return Ticket(seed, space, issuer, hints)


def _hint(data: bytes) -> str:
    hint = data.decode()  # UnicodeDecodeError is a ValueError
    if not hint.isprintable():
        raise ProtocolError("an address holds control characters")
    return hint


def ticket_id(seed: bytes) -> bytes:
    """The 16-byte id of the ticket with this seed."""
    return domains.digest(domains.TICKET_ID, seed)[:TICKET_ID_BYTES]


def ticket_psk(seed: bytes) -> bytes:
    """The pre-shared key, 32 bytes, of the ticket with this seed."""
    return domains.hkdf(seed, b"", domains.TICKET_PSK, 32)
