"""lichen for programs without an event loop: the same engine, spaces and documents, in ordinary calls.

::

    from lichen.blocking import Engine

    with Engine.open("sqlite:///notes.db") as engine:
        space = engine.spaces[0] if engine.spaces else engine.create_space("Family")
        note = space.create({"title": "Groceries"})
        with note.change("more") as doc:  # on disk when the block ends
            doc["title"] = "Groceries, and more"

Every coroutine of the asyncio API is here as a function of the same name and arguments. All of them run on one event
loop, on a background thread that begins with the first engine and ends with the last. Handles may be used from any
thread. Calls wait; `timeout` bounds how long.
"""

from __future__ import annotations

from lichen.blocking.connection import Connection as Connection
from lichen.blocking.deadline import timeout as timeout
from lichen.blocking.deliver import Deliver as Deliver
from lichen.blocking.deliver import Inbox as Inbox
from lichen.blocking.document import Document as Document
from lichen.blocking.document import Transaction as Transaction
from lichen.blocking.engine import Engine as Engine
from lichen.blocking.events import Events as Events
from lichen.blocking.relay import Relay as Relay
from lichen.blocking.space import Space as Space
from lichen.blocking.steady import steady as steady

__all__ = [
    "Connection",
    "Deliver",
    "Document",
    "Engine",
    "Events",
    "Inbox",
    "Relay",
    "Space",
    "Transaction",
    "steady",
    "timeout",
]
