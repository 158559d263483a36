"""The link dictionary: change sets without what the other end of the link can fill in.

One `Packer` and one `Unpacker` stand at the two ends of one direction of one link and see the same change sets in the
same order, so that they hold the same tables:

- *contexts*: space, document, author, session, epoch and access heads of recent sets, with what came last under them;
- *words*: the single fields that contexts are made of, so that a new context costs little as well;
- *ids*: of the newest sets that passed.

All are bounded; slots are taken over by what was used longest ago. The ciphertext's hash is left out, since it can be
computed. Packing changes nothing about what is signed: what comes out is, byte for byte, what went in. The layout of a
packed set is in `docs/reference/wire.md`.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from lichen.config import DEFAULT_LIMITS
from lichen.errors import ProtocolError
from lichen.wire import domains
from lichen.wire.changeset import FIXED_BYTES, MAGIC, NO_PREV, NONCE_BYTES, SUITE, Kind, change_set_id, create_prev
from lichen.wire.reader import Reader
from lichen.wire.signer import SIGNATURE_BYTES

CONTEXTS: Final = 128
"""Contexts remembered in one direction of a link."""
WORDS: Final = 255
"""Single fields remembered: slots 0 to 254."""
IDS: Final = 1_024
"""Ids of sets remembered."""

_NEW: Final = 255
"""In place of a slot or a distance: the value itself follows."""
_FAR: Final = 254
"""In place of a distance: it follows in two bytes."""

_KIND_MASK: Final = 0x03
_NEXT_SEQ: Final = 0x04
_TIME_SHIFT: Final = 3
_FOLLOWS: Final = 0x40
_UNKNOWN: Final = 0x80
_FIRST: Final = (1).to_bytes(8, "big")

_KIND_AT: Final = 5

_SPACE: Final = slice(8, 40)
_DOC: Final = slice(40, 56)
_AUTHOR: Final = slice(56, 88)
_SESSION: Final = slice(88, 104)
_SEQ: Final = slice(104, 112)
_PREV: Final = slice(112, 144)
_TIME: Final = slice(144, 152)
_EPOCH: Final = slice(152, 184)
_SALT_AND_TIP: Final = slice(184, 240)
_WHO: Final = slice(8, 104)
_HEADS_AT: Final = FIXED_BYTES - 1
_SALT_AND_TIP_BYTES: Final = 24 + 32
_KINDS: Final = frozenset(map(int, Kind))
_MAGIC_AND_SUITE: Final = MAGIC + bytes((SUITE,))


Value = TypeVar("Value")


@dataclass(slots=True)
class _Context:
    """What is the same in many sets, and the last set that had it."""

    who: bytes
    """Space, document, author and session: 96 bytes, as they stand in a set."""
    epoch: bytes
    access: bytes
    """The access heads, one after the other."""
    seq: bytes = bytes(8)
    time: bytes = bytes(8)
    last: bytes = b""
    """The id of the last set; empty before the first."""


class _Slots(Generic[Value]):
    """Values in numbered slots, found by key; the one that was not used for longest gives way."""

    __slots__ = ("_entries", "_most", "_slots")

    def __init__(self, most: int) -> None:
        self._most = most
        self._slots: OrderedDict[bytes, int] = OrderedDict()
        self._entries: list[tuple[bytes, Value]] = []

    def find(self, key: bytes) -> int | None:
        """The slot of a key, which is used thereby."""
        slot = self._slots.get(key)
        if slot is not None:
            self._slots.move_to_end(key)
        return slot

    def at(self, slot: int) -> Value:
        """The value in a slot, which is used thereby. Raises `ProtocolError` when there is none."""
        if slot >= len(self._entries):
            raise ProtocolError("a packed change set refers to what this link does not remember")
        key, value = self._entries[slot]
        self._slots.move_to_end(key)
        return value

    def add(self, key: bytes, value: Value) -> None:
        """Take a new value in. Raises `ProtocolError` when its key is here already."""
        if key in self._slots:
            raise ProtocolError("a packed change set spells out what this link remembers")
        if len(self._entries) < self._most:
            self._slots[key] = len(self._entries)
            self._entries.append((key, value))
            return
        _, slot = self._slots.popitem(last=False)
        self._slots[key] = slot
        self._entries[slot] = (key, value)


class Packer:
    """The sending end of one direction of one link."""

    __slots__ = ("_contexts", "_count", "_ids", "_numbers", "_words")

    def __init__(self) -> None:
        self._contexts: _Slots[_Context] = _Slots(CONTEXTS)
        self._words: _Slots[bytes] = _Slots(WORDS)
        self._count = 0
        self._ids: list[bytes] = []
        self._numbers: dict[bytes, int] = {}

    def pack(self, data: bytes) -> bytes:
        """A change set that decodes, packed. What is packed must be sent, whole and in this order."""
        heads_end = FIXED_BYTES + 32 * data[_HEADS_AT]
        end = heads_end + 2 + 32 * int.from_bytes(data[heads_end : heads_end + 2], "big") + 4
        deps, prev, seq = data[heads_end + 2 : end - 4], data[_PREV], data[_SEQ]
        context, opening = self._context(data, data[FIXED_BYTES:heads_end])
        time = data[_TIME]
        same = _same_start(time, context.time)
        flags = data[_KIND_AT] | same << _TIME_SHIFT
        links = b""
        if seq == _after(context.seq):
            flags, seq = flags | _NEXT_SEQ, b""
        if deps == prev == context.last:
            flags |= _FOLLOWS
        else:
            links = self._links(deps, data[_SEQ], prev)
        set_id = change_set_id(data[:end], data[end : end + 32])
        context.seq, context.time, context.last = data[_SEQ], time, set_id
        self._remember(set_id)
        return b"".join((opening, bytes((flags,)), seq, time[same:], data[_SALT_AND_TIP], links, data[end + 32 :]))

    def _context(self, data: bytes, access: bytes) -> tuple[_Context, bytes]:
        """The context of a set, and the bytes that name it."""
        who, epoch = data[_WHO], data[_EPOCH]
        key = who + epoch + access
        slot = self._contexts.find(key)
        if slot is not None:
            return self._contexts.at(slot), bytes((slot,))
        fields = [data[_SPACE], data[_DOC], data[_AUTHOR], data[_SESSION], epoch]
        heads = [access[at : at + 32] for at in range(0, len(access), 32)]
        words = b"".join([*map(self._word, fields), bytes((len(heads),)), *map(self._word, heads)])
        context = _Context(who, epoch, access)
        self._contexts.add(key, context)
        return context, bytes((_NEW,)) + words

    def _word(self, word: bytes) -> bytes:
        slot = self._words.find(word)
        if slot is not None:
            return bytes((slot,))
        self._words.add(word, word)
        return bytes((_NEW,)) + word

    def _links(self, deps: bytes, seq: bytes, prev: bytes) -> bytes:
        """The deps, and which of them is `prev`, or the nonce of a new document."""
        ids = [deps[at : at + 32] for at in range(0, len(deps), 32)]
        parts = [len(ids).to_bytes(2, "big"), *map(self._dep, ids)]
        if not ids:
            parts.append(prev[:NONCE_BYTES])
        elif seq != _FIRST and len(ids) > 1:
            parts.append(ids.index(prev).to_bytes(2, "big"))
        return b"".join(parts)

    def _dep(self, dep: bytes) -> bytes:
        number = self._numbers.get(dep)
        if number is None:
            return bytes((_NEW,)) + dep
        distance = self._count - number
        return bytes((distance,)) if distance < _FAR else bytes((_FAR,)) + distance.to_bytes(2, "big")

    def _remember(self, set_id: bytes) -> None:
        """Number a set; the one `IDS` before it is forgotten, unless it passed again since."""
        at = self._count % IDS
        if at == len(self._ids):
            self._ids.append(set_id)
        else:
            forgotten, self._ids[at] = self._ids[at], set_id
            if self._numbers[forgotten] == self._count - IDS:
                del self._numbers[forgotten]
        self._numbers[set_id] = self._count
        self._count += 1


class Unpacker:
    """The receiving end of one direction of one link."""

    __slots__ = ("_contexts", "_count", "_ids", "_words")

    def __init__(self) -> None:
        self._contexts: _Slots[_Context] = _Slots(CONTEXTS)
        self._words: _Slots[bytes] = _Slots(WORDS)
        self._count = 0
        self._ids: list[bytes] = []

    def unpack(self, packed: bytes) -> bytes:
        """The change set in `packed`, to be decoded and verified like any other.

        Raises `ProtocolError` for what no packer sends, and then the link must end: the two ends no longer agree.
        """
        reader = Reader(packed, "a packed change set")
        context = self._context(reader)
        flags = reader.byte()
        kind = flags & _KIND_MASK
        if kind not in _KINDS or flags & _UNKNOWN:
            raise ProtocolError("a packed change set has unknown flags")
        seq = _after(context.seq) if flags & _NEXT_SEQ else reader.take(8)
        same = flags >> _TIME_SHIFT & 7
        time = context.time[:same] + reader.take(8 - same)
        salt_and_tip = reader.take(_SALT_AND_TIP_BYTES)
        deps, prev = self._follows(context) if flags & _FOLLOWS else self._links(reader, seq)
        signature = reader.take(SIGNATURE_BYTES)
        ciphertext = reader.take(reader.left)
        access = context.access
        prefix = b"".join(
            (
                _MAGIC_AND_SUITE,
                bytes((kind, 0, 0)),
                context.who,
                seq,
                prev,
                time,
                context.epoch,
                salt_and_tip,
                bytes((len(access) // 32,)),
                access,
                (len(deps) // 32).to_bytes(2, "big"),
                deps,
                len(ciphertext).to_bytes(4, "big"),
            )
        )
        if len(prefix) + 32 + SIGNATURE_BYTES + len(ciphertext) > DEFAULT_LIMITS.object_bytes:
            raise ProtocolError("a packed change set is larger than a change set may be")
        ciphertext_hash = hashlib.sha256(domains.CIPHERTEXT + ciphertext).digest()
        context.seq, context.time, context.last = seq, time, change_set_id(prefix, ciphertext_hash)
        self._remember(context.last)
        return b"".join((prefix, ciphertext_hash, signature, ciphertext))

    def _context(self, reader: Reader) -> _Context:
        slot = reader.byte()
        if slot != _NEW:
            return self._contexts.at(slot)
        who = b"".join((self._word(reader, 32), self._word(reader, 16), self._word(reader, 32), self._word(reader, 16)))
        epoch = self._word(reader, 32)
        count = reader.count(1, 1, DEFAULT_LIMITS.access_heads, "access heads")
        access = b"".join([self._word(reader, 32) for _ in range(count)])
        context = _Context(who, epoch, access)
        self._contexts.add(who + epoch + access, context)
        return context

    def _word(self, reader: Reader, length: int) -> bytes:
        slot = reader.byte()
        if slot == _NEW:
            word = reader.take(length)
            self._words.add(word, word)
            return word
        word = self._words.at(slot)
        if len(word) != length:
            raise ProtocolError("a packed change set refers to a field of another length")
        return word

    def _follows(self, context: _Context) -> tuple[bytes, bytes]:
        if not context.last:
            raise ProtocolError("a packed change set follows one that was never sent")
        return context.last, context.last

    def _links(self, reader: Reader, seq: bytes) -> tuple[bytes, bytes]:
        """The deps, one after the other, and `prev`."""
        count = reader.count(2, 0, DEFAULT_LIMITS.set_deps, "deps")
        deps = [self._dep(reader) for _ in range(count)]
        if not deps:
            return b"", create_prev(reader.take(NONCE_BYTES))
        if seq == _FIRST:
            return b"".join(deps), NO_PREV
        index = reader.count(2, 0, count - 1, "as the place of its predecessor") if count > 1 else 0
        return b"".join(deps), deps[index]

    def _dep(self, reader: Reader) -> bytes:
        distance = reader.byte()
        if distance == _NEW:
            return reader.take(32)
        if distance == _FAR:
            distance = reader.number(2)
        if not 1 <= distance <= len(self._ids):
            raise ProtocolError("a packed change set depends on one that this link does not remember")
        return self._ids[(self._count - distance) % IDS]

    def _remember(self, set_id: bytes) -> None:
        at = self._count % IDS
        if at == len(self._ids):
            self._ids.append(set_id)
        else:
            self._ids[at] = set_id
        self._count += 1


def _same_start(left: bytes, right: bytes) -> int:
    """How many leading bytes of two times are the same, at most 7."""
    differing = int.from_bytes(left, "big") ^ int.from_bytes(right, "big")
    return min(7, 8 - (differing.bit_length() + 7) // 8)


def _after(seq: bytes) -> bytes:
    """The number after a number of 8 bytes; 0 after the largest, which no valid set has."""
    return ((int.from_bytes(seq, "big") + 1) & (2**64 - 1)).to_bytes(8, "big")
