"""Sealing, signatures, key wrapping and the handshake: keys and bytes, no I/O."""
