"""Where a program that people start from a command line has a ticket from."""

from __future__ import annotations

from lichen.wire.ticket import Ticket


def checked_ticket(text: str) -> str:
    """The text of a ticket as it was given; empty where none was.

    To be called before a store is opened, so that none is made for a ticket that cannot be used: as the `type` of an
    argument of `argparse`. Raises `TicketError` for one that is not whole.
    """
    if text:
        Ticket.parse(text)
    return text
