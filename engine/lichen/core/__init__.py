"""The pure core: state machines without asyncio, sockets, clock, randomness or database.

`node.Node.handle(event, now)` changes state and returns effects; everything else here serves it.
"""
