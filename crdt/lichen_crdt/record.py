"""Small documents of scalars, without the core's machinery for everything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Self

from lichen_crdt import _native

if TYPE_CHECKING:
    from lichen_crdt.values import Scalar

MOST_BYTES = 1 << 32


class Record:
    """A document that holds scalars at its root alone, and whose changes follow one another in one line.

    It reads and writes the same changes as a `Document`, many times faster, and knows nothing else: not what it held
    before, no texts, no counters, no objects, and no two changes beside each other. What is more than that it does not
    take: then make a `Document` of the changes. A new record is empty.
    """

    __slots__ = ("_native",)

    def __init__(self) -> None:
        self._native = _native.Record()

    @classmethod
    def many(cls, lists: Iterable[Iterable[bytes]]) -> list[Self | None]:
        """For each list of changes a record that has taken them, None where `take` gives None.

        Faster than one after the other, and other threads compute meanwhile.
        """
        return [cls._around(native) for native in _native.Record.many([[*changes] for changes in lists])]

    @classmethod
    def _around(cls, native: _native.Record | None) -> Self | None:
        if native is None:
            return None
        made = cls.__new__(cls)
        made._native = native  # noqa: SLF001  # it is of this class
        return made

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The hash of the newest change, as `Document.heads`; nothing in a new record."""
        return self._native.heads

    def take(self, changes: Iterable[bytes]) -> list[str] | None:
        """Apply changes, and return the keys that they put.

        None, and nothing is changed, unless each follows the one before, is valid there as `apply_changes` with
        `strict` has it, and does nothing but put scalars at the root.
        """
        return self._native.take([*changes])

    def change(
        self, actor: bytes, values: Mapping[str, Scalar], time: int = 0, *, max_bytes: int = MOST_BYTES
    ) -> tuple[bytes, bytes]:
        """Put these at the root as one change of an actor, which has written nowhere else: its hash and its bytes.

        `time` is in seconds since 1970. Raises `TypeError` for what is no scalar and for counters, `ValueError` for an
        actor that has not 1 to 128 bytes, `OverflowError` for a change of more than `max_bytes` or of keys of more than
        16 MiB, and `CrdtError` for one with nothing in it: then nothing is changed.
        """
        return self._native.write(actor, time, dict(values), max_bytes)

    def to_py(self) -> dict[str, Scalar]:
        """What the keys hold, as `Document.to_py` has it."""
        return self._native.to_py()
