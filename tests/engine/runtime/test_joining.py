"""Answering tickets: who is not taken in, and what a flood of mails does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest
from lichen.api.engine import Engine
from lichen.config import DEFAULT_LIMITS
from lichen.core.events import MailWritten
from lichen.core.pairing import Joiner, OpenTicket
from lichen.crypto.identity import Identity
from lichen.errors import TicketError
from lichen.ids import MemberId, SpaceId
from lichen.runtime import joining
from lichen.runtime.joining import MOST_CONVERSATIONS, Joining
from lichen.wire.ticket import Ticket

ISA, ANN = (Identity(bytes((number,)) * 96) for number in (1, 2))
TICKET = Ticket(b"t" * 32, SpaceId(b"s" * 32), ISA.device)


class Letterbox:
    """Stands for the driver: keeps what was mailed."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def feed(self, event: MailWritten) -> None:
        self.sent.append(event.body)


def answering() -> tuple[Joining, Letterbox]:
    box = Letterbox()
    service = Joining(cast(Any, box), ISA, cast(Any, None), DEFAULT_LIMITS, cast(Any, None))
    service._open_tickets[TICKET.id] = OpenTicket(TICKET.space, TICKET.psk)
    return service, box


def joiner() -> Joiner:
    return Joiner(
        ANN, TICKET, ephemeral=os.urandom(32), conversation=os.urandom(16), member=MemberId(b"m" * 16), name="Ann"
    )


def test_mails_that_begin_nothing_do_not_push_a_conversation_out() -> None:
    service, box = answering()
    ann = joiner()
    service.mail(ANN.device, ann.pending)
    for number in range(2 * MOST_CONVERSATIONS):
        conversation = number.to_bytes(16, "big")
        service.mail(ANN.device, conversation + b"\x01" + bytes(16 + 48))
        service.mail(ANN.device, conversation + b"\x03" + bytes(200))
        service.mail(ANN.device, conversation)
    first = box.sent.copy()
    service.mail(ANN.device, ann.pending)
    assert box.sent == [*first, first[0]]


def test_conversations_are_bounded() -> None:
    service, _ = answering()
    for _ in range(MOST_CONVERSATIONS + 10):
        service.mail(ANN.device, joiner().pending)
    assert len(service._issuers) == MOST_CONVERSATIONS


async def test_nobody_joins_as_a_member_who_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/a.db") as isa,
        Engine.open(f"sqlite:///{tmp_path}/b.db") as eve,
    ):
        address = await isa.listen("memory://isa")
        space = await isa.create_space("Family")
        owner = space.members()[0].id
        ticket = await space.invite(mode="auto", hints=[address])
        with monkeypatch.context() as patched:
            patched.setattr(joining, "MemberId", lambda _: owner)
            with pytest.raises(TicketError, match="belongs to another member"):
                await eve.join(ticket, name="Eve", timeout_s=20)
        assert [len(member.devices) for member in space.members()] == [1]
        await eve.join(ticket, name="Eve", timeout_s=20)
        assert len(space.members()) == 2
