"""A hybrid logical clock: close to real time, and never behind what was seen.

After Kulkarni, Demirbas, Madappa, Avva and Leone, "Logical Physical Clocks" (2014), in one 64-bit number: Unix
milliseconds in the upper 48 bits, a counter in the lower 16. Times order what people look at; they decide nothing
that devices must agree on, so a wrong clock is never more than ugly.
"""

from __future__ import annotations

from typing import Final

COUNTER_BITS: Final = 16
MOST: Final = 2**64 - 1

DRIFT_MS: Final = 60_000
"""A time further ahead of the local clock than this does not move it."""


def milliseconds(time: int) -> int:
    """The Unix milliseconds of a hybrid time."""
    return time >> COUNTER_BITS


class Clock:
    """The clock of one node. The local time is passed in, in Unix milliseconds.

    Invariants: `tick` never returns the same number twice, nor a smaller one than before, whatever the local clock
    does; and it exceeds every observed time that was at most `drift_ms` ahead.
    """

    __slots__ = ("_drift_ms", "_last")

    def __init__(self, last: int = 0, drift_ms: int = DRIFT_MS) -> None:
        """Go on after the time `last`, for example the newest one this node gave before it was restarted."""
        self._last = last
        self._drift_ms = drift_ms

    @property
    def last(self) -> int:
        """The newest time given or taken over."""
        return self._last

    def tick(self, now_ms: int) -> int:
        """A new time for something that happens here."""
        self._last = min(max(_time(now_ms), self._last + 1), MOST)
        return self._last

    def observe(self, time: int, now_ms: int) -> None:
        """Take over a time from elsewhere, unless it is too far ahead to be believed."""
        if self._last < time <= _time(now_ms + self._drift_ms):
            self._last = time


def _time(now_ms: int) -> int:
    return min(max(now_ms, 0) << COUNTER_BITS, MOST)
