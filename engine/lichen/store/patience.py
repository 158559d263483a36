"""Who waits for the writer thread, and gives up when one session keeps it too long.

As the busy timeout of SQLite and the `lock_timeout` of PostgreSQL: who waits for a session that waits for them would do
so for ever, and no program can see which session waits for whom. Who waits behind many sessions that each end soon is
not refused.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from time import monotonic
from typing import Any

from lichen.errors import StoreBusy


class Patience:
    """The futures that are waited for, and since when; used from any thread."""

    def __init__(self, most_s: float) -> None:
        self.most_s = most_s
        """How long one session is waited for."""
        self._since: dict[Future[Any], float] = {}
        self._gate = threading.Lock()

    def add(self, waiting: Future[Any]) -> None:
        """Somebody waits for this from now on, until it is done."""
        with self._gate:
            self._since[waiting] = monotonic()
        waiting.add_done_callback(self._done)

    def overdue(self, holder: str, began: float) -> list[tuple[Future[Any], StoreBusy]]:
        """What is waited for too long, since a session began to write; with what is to be told."""
        now = monotonic()
        with self._gate:
            late = {one: now - max(since, began) for one, since in self._since.items()}
        return [
            (
                one,
                StoreBusy(
                    f"{holder} has written and not ended, and was waited for for {waited_s:.0f} s; nothing was changed",
                    hint="end that session before you wait for what else writes, or try again later; "
                    "Limits.writer_wait_s says how long to wait",
                ),
            )
            for one, waited_s in late.items()
            if waited_s >= self.most_s
        ]

    def _done(self, waiting: Future[Any]) -> None:
        with self._gate:
            self._since.pop(waiting, None)
