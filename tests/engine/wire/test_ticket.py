"""Tickets as text: forgiving of how they were copied, and of nothing else."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.errors import TicketError
from lichen.ids import DeviceKey, SpaceId
from lichen.testing.strategies import ALICE, tickets
from lichen.wire import base32, domains
from lichen.wire.ticket import HINT_BYTES, HINTS, TEXT_CHARACTERS, Ticket, ticket_id, ticket_psk

TICKET = Ticket(b"\x17" * 32, SpaceId(b"s" * 32), ALICE.public, ("ws://192.168.1.20:8090", "wss://relay.example"))


@given(tickets())
def test_a_ticket_survives_as_text(ticket: Ticket) -> None:
    text = ticket.encode()
    assert Ticket.parse(text) == ticket
    assert text.startswith("lichen1")
    assert text.isalnum()
    assert text == text.lower()


@given(st.data())
def test_white_space_line_breaks_case_and_invisible_letters_are_forgiven(data: st.DataObject) -> None:
    text = TICKET.encode()
    noise = st.sampled_from(["", " ", "\n", "\r\n> "[:2], "\t", "\u200b", "\ufeff", "\u00a0"])
    spread = "".join(letter + data.draw(noise) for letter in text[:40]) + text[40:]
    assert Ticket.parse(data.draw(noise) + spread) == TICKET
    assert Ticket.parse(text.upper()) == TICKET
    assert Ticket.parse("\n".join(text[at : at + 20] for at in range(0, len(text), 20))) == TICKET


def test_each_changed_letter_is_noticed() -> None:
    text = TICKET.encode()
    for at, letter in enumerate(text):
        changed = text[:at] + ("a" if letter != "a" else "b") + text[at + 1 :]
        with pytest.raises(TicketError):
            Ticket.parse(changed)


def test_each_lost_or_added_letter_is_noticed() -> None:
    text = TICKET.encode()
    for length in range(len(text)):
        with pytest.raises(TicketError):
            Ticket.parse(text[:length])
    for extra in ("a", "aa", "aaaaaaaa", "=", "!", "é"):
        with pytest.raises(TicketError):
            Ticket.parse(text + extra)


@given(st.text(max_size=300))
def test_any_other_text_raises_only_the_documented_error(text: str) -> None:
    for attempt in (text, "lichen1" + text):
        with pytest.raises(TicketError):
            Ticket.parse(attempt)


def test_a_long_text_is_not_looked_at() -> None:
    with pytest.raises(TicketError, match="at most"):
        Ticket.parse(TICKET.encode() + " " * TEXT_CHARACTERS)


def test_the_largest_ticket_fits_the_longest_text() -> None:
    largest = Ticket(b"\x17" * 32, TICKET.space, TICKET.issuer, ("ä" * (HINT_BYTES // 2),) * HINTS)
    assert len(largest.encode()) <= TEXT_CHARACTERS
    assert Ticket.parse(largest.encode()) == largest


@pytest.mark.parametrize(
    "ticket",
    [
        Ticket(b"short", TICKET.space, TICKET.issuer),
        Ticket(TICKET.seed, TICKET.space, TICKET.issuer, ("x",) * (HINTS + 1)),
        Ticket(TICKET.seed, TICKET.space, TICKET.issuer, ("x" * (HINT_BYTES + 1),)),
        Ticket(TICKET.seed, TICKET.space, TICKET.issuer, ("ws://host\n",)),
        Ticket(TICKET.seed, TICKET.space, TICKET.issuer, ("\ud800",)),
        Ticket(TICKET.seed, TICKET.space, DeviceKey(bytes(32))),
    ],
)
def test_a_ticket_that_could_not_be_read_is_not_written(ticket: Ticket) -> None:
    with pytest.raises(TicketError):
        ticket.encode()


@given(st.binary(max_size=200))
def test_a_right_checksum_over_anything_else_raises_only_the_documented_error(body: bytes) -> None:
    with pytest.raises(TicketError):
        Ticket.parse("lichen1" + base32.to_text(body, domains.TICKET_TEXT))


def test_the_seed_is_not_in_the_id_nor_shown() -> None:
    assert "\\x17" not in repr(TICKET)
    assert len(TICKET.id) == 16
    assert TICKET.id == ticket_id(TICKET.seed) != TICKET.psk[:16]


def test_the_psk_is_hkdf_of_the_seed() -> None:
    extracted = hmac.digest(bytes(32), TICKET.seed, "sha256")
    assert TICKET.psk == ticket_psk(TICKET.seed) == hmac.digest(extracted, b"lichen/ticket-psk/v1\x01", "sha256")
