"""The relay: a node that stores and forwards what it can verify but not read."""

from lichen.relay.server import Relay as Relay

__all__ = ["Relay"]
