"""Adapters: how other libraries meet lichen (an ORM, data classes, desktop toolkits, sync protocols, web servers).

They stand on the engine and on `lichen_crdt`, never on a transport, and no transport stands on them.
The first is `lichen_adapters.orm`.
"""
