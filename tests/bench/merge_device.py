"""The device that writes what another merges in a benchmark: `merge_device.py STORE OBJECTS`.

It prints one object a line: the ticket of a new space, and, after a line of input, that its objects are sealed. Then it
serves them until it is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from lichen import Engine
from lichen.runtime.rows import documents_to_seal
from lichen_adapters.orm import Sessions
from orm_contacts import Base, Contact, contacts


def say(**value: object) -> None:
    """Print an object."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Make a space, then objects in it."""
    store, objects = sys.argv[1], int(sys.argv[2])
    async with Engine.open(store, passphrase="benchmark") as engine:
        address = str(await engine.listen("ws://127.0.0.1:0"))
        space = await engine.create_space("Bench", member_name="A")
        say(address=address, ticket=await space.invite(mode="auto", hints=[address]))
        await asyncio.to_thread(sys.stdin.readline)
        sessions = Sessions(engine, Base)
        await asyncio.to_thread(sessions.prepare)
        with sessions.begin(space) as session:
            session.add_all(contacts(Contact, objects))
        while await asyncio.wrap_future(engine.store.write(documents_to_seal)):
            await asyncio.sleep(0.05)
        sessions.close()
        say(sealed=objects)
        await asyncio.Event().wait()


with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
    asyncio.run(main())
