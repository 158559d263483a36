"""A writer of Automerge changes, for tests that need changes no honest program makes.

It encodes whatever operations it is given, in the one way that Automerge itself would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

MAKE_MAP, SET, MAKE_LIST, DELETE, MAKE_TEXT, INCREMENT, MARK = 0, 1, 2, 3, 4, 5, 7
Id = tuple[int, bytes]
HEAD = "head"


@dataclass(frozen=True)
class Op:
    """One operation; `key` is a string, an operation id or HEAD, `value` is (type code, bytes)."""

    action: int = SET
    obj: Id | None = None
    key: str | Id = "k"
    key_is_text: bool = True
    insert: bool = False
    value: tuple[int, bytes] = (0, b"")
    pred: tuple[Id, ...] = ()
    expand: bool = False
    mark: str | None = None


@dataclass(frozen=True)
class Change:
    """A change to be encoded; `copies` repeats the last operation by run lengths alone."""

    actor: bytes = b"\x11" * 16
    seq: int = 1
    start_op: int = 1
    deps: tuple[bytes, ...] = ()
    time: int = 0
    ops: tuple[Op, ...] = (Op(),)
    extra: bytes = b""
    others: tuple[bytes, ...] | None = field(default=None)
    message: bytes = b""

    def but(self, **fields: object) -> Change:
        return replace(self, **fields)  # type: ignore[arg-type]

    def encode(self) -> bytes:
        return chunk(self.body())

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(b"\x01" + uleb(len(self.body())) + self.body()).digest()

    def body(self) -> bytes:
        actors = [self.actor, *(self.others if self.others is not None else self._other_actors())]
        deps = sorted(self.deps)
        head = uleb(len(deps)) + b"".join(deps) + prefixed(self.actor) + uleb(self.seq) + uleb(self.start_op)
        head += sleb(self.time) + prefixed(self.message) + uleb(len(actors) - 1) + b"".join(map(prefixed, actors[1:]))
        columns = [(spec, data) for spec, data in encode_ops(self.ops, actors.index) if data]
        meta = uleb(len(columns)) + b"".join(uleb(spec) + uleb(len(data)) for spec, data in columns)
        return head + meta + b"".join(data for _, data in columns) + self.extra

    def _other_actors(self) -> list[bytes]:
        used = {i[1] for op in self.ops for i in (op.obj, op.key, *op.pred) if isinstance(i, tuple)}
        return sorted(used - {self.actor})


def chunk(body: bytes, kind: int = 1) -> bytes:
    """A chunk around a body, with the right checksum."""
    digest = hashlib.sha256(bytes([kind]) + uleb(len(body)) + body).digest()
    return b"\x85\x6f\x4a\x83" + digest[:4] + bytes([kind]) + uleb(len(body)) + body


def encode_ops(ops: Sequence[Op], actor: Callable[[bytes], int]) -> list[tuple[int, bytes]]:
    def actor_of(ident: Id | str | None) -> int | None:
        return actor(ident[1]) if isinstance(ident, tuple) else None

    def counter_of(key: str | Id) -> int | None:
        return key[0] if isinstance(key, tuple) else 0 if key is HEAD else None

    def text_of(key: str | Id) -> str | None:
        return key if isinstance(key, str) and key is not HEAD else None

    pred = [ident for op in ops for ident in op.pred]
    expand = boolean([op.expand for op in ops]) if any(op.expand for op in ops) else b""
    return [
        (0x01, rle([actor_of(op.obj) for op in ops], uleb)),
        (0x02, rle([op.obj[0] if op.obj else None for op in ops], uleb)),
        (0x11, rle([actor_of(op.key) for op in ops], uleb)),
        (0x13, delta([counter_of(op.key) for op in ops])),
        (0x15, rle([text_of(op.key) for op in ops], lambda key: prefixed(key.encode()))),
        (0x34, boolean([op.insert for op in ops])),
        (0x42, rle([op.action for op in ops], uleb)),
        (0x56, rle([len(op.value[1]) << 4 | op.value[0] for op in ops], uleb)),
        (0x57, b"".join(op.value[1] for op in ops)),
        (0x70, rle([len(op.pred) for op in ops], uleb)),
        (0x71, rle([actor(ident[1]) for ident in pred], uleb)),
        (0x73, delta([ident[0] for ident in pred])),
        (0x94, expand),
        (0xA5, rle([op.mark for op in ops], lambda name: prefixed(name.encode()))),
    ]


def rle(values: Sequence[object], encode: Callable[..., bytes]) -> bytes:
    """Run-length encoding: repeats, literal runs and runs of nulls; nothing if all is null."""
    out, literal = b"", []
    if all(value is None for value in values):
        return b""

    def flush() -> bytes:
        done = sleb(-len(literal)) + b"".join(map(encode, literal)) if literal else b""
        literal.clear()
        return done

    for value, run in groupby(values):
        count = len(list(run))
        if value is None:
            out += flush() + b"\x00" + uleb(count)
        elif count > 1:
            out += flush() + sleb(count) + encode(value)
        else:
            literal.append(value)
    return out + flush()


def delta(values: Sequence[int | None]) -> bytes:
    last, deltas = 0, []
    for value in values:
        deltas.append(None if value is None else value - last)
        last = last if value is None else value
    return rle(deltas, sleb)


def boolean(values: Sequence[bool]) -> bytes:
    runs = [(value, len(list(run))) for value, run in groupby(values)]
    first = b"\x00" if runs and runs[0][0] else b""
    return first + b"".join(uleb(count) for _, count in runs)


def uleb(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def sleb(n: int) -> bytes:
    out = bytearray()
    while True:
        byte, n = n & 0x7F, n >> 7
        if n == (-1 if byte & 0x40 else 0):
            return bytes([*out, byte])
        out.append(byte | 0x80)


def prefixed(data: bytes) -> bytes:
    return uleb(len(data)) + data


def string(text: str) -> tuple[int, bytes]:
    return 6, text.encode()


def counter(n: int) -> tuple[int, bytes]:
    return 8, sleb(n)


def integer(n: int) -> tuple[int, bytes]:
    return 4, sleb(n)
