"""Transports: memory, websocket and WebRTC data channels.

The engine finds them by URL scheme through the entry-point group `lichen.transports`; each module's `transport` is the
object that an entry names. Nothing here knows about change sets, keys or spaces: a transport moves whole messages.
"""

from __future__ import annotations
