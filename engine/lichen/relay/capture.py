"""A transcript of all that crosses a relay, as it sees it behind the links' encryption; for tests only.

Each message becomes one file `NNNNNNNN-in-PEER.cbor` or `NNNNNNNN-out-PEER.cbor` holding the message's bytes.
"""

from __future__ import annotations

from pathlib import Path

from lichen.ids import DeviceKey


class Capture:
    """Writes messages into a folder, made when it is not there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._count = len(list(folder.iterdir()))

    def tap(self, direction: str, peer: DeviceKey, message: bytes) -> None:
        """Keep one message; `direction` is `in` or `out`."""
        self._count += 1
        name = f"{self._count:08d}-{direction}-{peer.hex()[:8]}.cbor"
        (self._folder / name).write_bytes(message)
