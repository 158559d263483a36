"""The reference of links, joining and key files: its frozen vectors are made again, and its numbers are the code's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from lichen.config import DEFAULT_LIMITS
from lichen.core import pairing
from lichen.core.pairing import Issuer, Joiner, OpenTicket
from lichen.crypto import link, passphrase
from lichen.crypto.identity import Identity
from lichen.crypto.link import LinkHandshake
from lichen.ids import MemberId, OpId, SpaceId
from lichen.wire.ticket import Ticket

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "links.md").read_text()


def identity(name: str) -> Identity:
    return Identity(b"".join(hashlib.sha256(f"{key} {name}".encode()).digest() for key in ("sign", "seal", "static")))


ALICE, BOB = identity("alice"), identity("bob")


def frozen() -> dict[str, str]:
    """The blocks of the page's last section: a name, then indented lines of hexadecimal."""
    found: dict[str, str] = {}
    name = ""
    for line in PAGE[PAGE.rindex("```text") :].splitlines()[1:]:
        if line.startswith("  "):
            found[name] += line.strip()
        elif line != "```":
            name = line
            found[name] = ""
    return found


def made() -> dict[str, bytes]:
    prologue = b"\x00".join((b"lichen/link/v1", b"webrtc", b"\x13" * 64))
    alice = LinkHandshake(ALICE, initiator=True, prologue=prologue, ephemeral=b"\x11" * 32)
    bob = LinkHandshake(BOB, initiator=False, prologue=prologue, ephemeral=b"\x12" * 32)
    first = alice.step(None) or b""
    second = bob.step(first) or b""
    third = alice.step(second) or b""
    bob.step(third)
    values = {"handshake 1": first, "handshake 2": second, "handshake 3": third, "handshake hash": bob.handshake_hash}
    values["frame: one"] = alice.session.seal(b"one")
    alice.session.want_new_key()
    values["frame: two"] = alice.session.seal(b"two")
    values["frame: three"] = alice.session.seal(b"three")
    values["frame: four"] = bob.session.seal(b"four")
    mails = joining()
    return values | {f"mail {number}": mail for number, mail in enumerate(mails, 1)}


def joining() -> list[bytes]:
    ticket = Ticket(b"\x0a" * 32, SpaceId(b"\x14" * 32), BOB.device)
    joiner = Joiner(
        ALICE,
        ticket,
        ephemeral=b"\x11" * 32,
        conversation=b"\x15" * 16,
        member=MemberId(b"\x04" * 16),
        name="Alice",
    )
    issuer = Issuer(BOB, ephemeral=b"\x12" * 32, lookup={ticket.id: OpenTicket(ticket.space, ticket.psk)}.get)
    first = joiner.pending
    second = issuer.receive(first)
    assert isinstance(second, bytes)
    joiner.receive(second)
    third = joiner.pending
    issuer.receive(third)
    return [first, second, third, issuer.accept((OpId(b"\x16" * 32),))]


def test_every_vector_is_made_again() -> None:
    assert {name: value.hex() for name, value in made().items()} == {
        name: value for name, value in frozen().items() if name != "sealed data key"
    }


def test_the_sealed_data_key_is_made_again() -> None:
    written = json.loads(passphrase.wrap_key(b"\x17" * 32, "correct horse", b"\x18" * 16))
    assert written["sealed"] == frozen()["sealed data key"]


@pytest.mark.parametrize(
    "shown",
    [
        f"longer than {link.HANDSHAKE_BYTES:,} bytes",
        f"takes longer than {DEFAULT_LIMITS.handshake_s:g} s",
        f"at most {link.FRAME_BYTES // 1024} KiB long with its tag",
        f"reaches {link.REKEY_BYTES // 2**30} GiB",
        f"A *proof* is {link.PROOF_BYTES} bytes",
        f"Four *mails* of at most {DEFAULT_LIMITS.mail_bytes // 1024} KiB",
        f"at most {pairing.NAME_CHARACTERS} printable characters",
        f"at most {pairing.REASON_CHARACTERS} printable characters",
        f"ascending, at most {DEFAULT_LIMITS.access_heads}",
        f"at most {passphrase.FILE_BYTES // 1024} KiB",
        f"{passphrase.MEMORY_KIB:,}, {passphrase.PASSES} and {passphrase.LANES} when written",
        f"at most {passphrase.MOST_MEMORY_KIB:,}, {passphrase.MOST_PASSES} and 16 when read",
        f"`{passphrase.FORMAT}`",
    ],
)
def test_numbers_are_shown_as_they_are(shown: str) -> None:
    assert shown in PAGE


def test_lengths_of_the_handshake_are_shown_as_they_are() -> None:
    values = made()
    for number, sender in ((1, "initiator"), (2, "responder"), (3, "initiator")):
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| {number} | {sender} |"))
        assert row.endswith(f"| {len(values[f'handshake {number}'])} |")
