"""Documents as they were: read-only views at some heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from lichen_crdt.errors import ReadOnly
from lichen_crdt.views import Map

if TYPE_CHECKING:
    from lichen_crdt._native import Core, Obj
    from lichen_crdt.spans import RichText


class Version(Map):
    """A document as it was at `heads`, for reading; from `Document.at`.

    It behaves as the document itself does, and so does what lies in it: maps, lists, texts with their marks and
    cursors, counters. Writing to any of it is `ReadOnly`. It holds on to the document and costs no copy.
    """

    __slots__ = ("heads",)

    def __init__(self, core: Core, obj: Obj, heads: tuple[bytes, ...]) -> None:
        super().__init__(cast("Core", _Past(core, heads)), obj)
        self.heads = heads
        """What it was read at, sorted."""


class _Past:
    """Stands for the core where views read: answers from some heads, and refuses writes."""

    __slots__ = ("_core", "_heads")

    def __init__(self, core: Core, heads: tuple[bytes, ...]) -> None:
        self._core = core
        self._heads = heads

    def get(self, obj: Obj, place: str | int) -> Any:
        return self._core.get(obj, place, self._heads)

    def get_all(self, obj: Obj, place: str | int) -> list[tuple[Any, bytes]]:
        return self._core.get_all(obj, place, self._heads)

    def keys(self, obj: Obj) -> list[str]:
        return self._core.keys(obj, self._heads)

    def length(self, obj: Obj) -> int:
        return self._core.length(obj, self._heads)

    def text(self, obj: Obj) -> str:
        return self._core.text(obj, self._heads)

    def to_py(self, obj: Obj, *, rich: bool = False, typed: bool = False) -> Any:
        return self._core.to_py(obj, self._heads, rich, typed)

    def items(self, obj: Obj, start: int, stop: int) -> list[Any]:
        return self._core.items(obj, start, stop, self._heads)

    def spans(self, obj: Obj) -> RichText:
        return self._core.spans(obj, self._heads)

    def to_points(self, obj: Obj, unit: str, offsets: list[int]) -> list[int]:
        return self._core.to_points(obj, unit, offsets, self._heads)

    def from_points(self, obj: Obj, unit: str, indexes: list[int] | None) -> list[int]:
        return self._core.from_points(obj, unit, indexes, self._heads)

    def boundaries(self, obj: Obj) -> list[int]:
        return self._core.boundaries(obj, self._heads)

    def around(self, obj: Obj, index: int) -> tuple[int, int]:
        return self._core.around(obj, index, self._heads)

    def marks(self, obj: Obj) -> list[tuple[int, int, str, Any]]:
        return self._core.marks(obj, self._heads)

    def blame(self, obj: Obj, start: int, end: int) -> list[tuple[int, int, bytes, bytes, int, str | None]]:
        return self._core.blame(obj, start, end, self._heads)

    def cursor(self, obj: Obj, index: int | None, before: bool) -> bytes:
        return self._core.cursor(obj, index, before, self._heads)

    def position(self, obj: Obj, cursor: bytes) -> int:
        return self._core.position(obj, cursor, self._heads)

    def path(self, obj: Obj) -> tuple[str | int, ...]:
        return self._core.path(obj, self._heads)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # copy and pickle ask for such
            raise AttributeError(name)
        raise ReadOnly(f"{name}: a document as it was cannot be changed; change the document itself")
