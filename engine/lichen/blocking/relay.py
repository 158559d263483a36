"""A relay that a program without an event loop runs."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from lichen.blocking.host import Host
from lichen.config import DEFAULT_LIMITS, Limits
from lichen.ids import DeviceKey
from lichen.relay import Relay as AsyncRelay


class Relay:
    """One relay node. Open it with `Relay.open`, then `listen`. A context manager, which closes it."""

    def __init__(self, host: Host[AsyncRelay]) -> None:
        self._host = host

    @classmethod
    def open(
        cls,
        url: str,
        *,
        passphrase: str | None = None,
        token: str = "",
        capture: Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Relay:
        """Open the relay's store, made when it is not there.

        With no passphrase its key lies in a file beside it. With a `token`, only devices that show it may bring new
        spaces. `capture` is a folder that receives everything that crosses the relay, for tests. Raises `StoreError`.
        """
        opening = AsyncRelay.open(url, passphrase=passphrase, token=token, capture=capture, limits=limits)
        return cls(Host(opening, "this relay"))

    def close(self) -> None:
        """End every link, and close the store; idempotent."""
        self._host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def listen(self, url: str) -> str:
        """Accept links at an address; returns it with the port that was bound. Raises `Unreachable`."""
        return self._host.run(self._host.value.listen, url)

    @property
    def device(self) -> DeviceKey:
        """The relay's own key."""
        return self._host.value.device

    @property
    def status(self) -> dict[str, int]:
        """How many spaces, links and change sets it holds."""
        return self._host.call(lambda: self._host.value.status)
