"""Sealing: Automerge changes into signed ciphertext and back, under an epoch's key.

Key and nonce are derived anew for every set: HKDF-SHA256 of the epoch key under a salt of the set. The salt is hedged:
it depends on random bytes, on the plaintext and on the epoch key, so that a broken random source neither repeats a key
for two plaintexts nor tells a relay anything. See `docs/reference/wire.md`, and `plaintext` for what is encrypted.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from lichen.crypto.plaintext import RAW, pack_changes, pad, unpack_changes, unpad
from lichen.errors import CannotOpen, InvalidChangeSet, LimitExceeded, ProtocolError
from lichen.ids import DeviceKey, DocId, EpochId, OpId, Session, SetId, SpaceId
from lichen.wire import domains
from lichen.wire.changeset import SUITE, TAG_BYTES, ChangeSet, Header, Kind
from lichen.wire.ephemeral import SUITE as EPHEMERAL_SUITE
from lichen.wire.ephemeral import Ephemeral, EphemeralKind
from lichen.wire.signer import Signer

NO_HASH: Final = bytes(32)
"""What the tip is made of in a `CREATE` without a change."""

_CHUNK_HASHED_FROM: Final = 8

RECENT_KEYS: Final = 64
"""Of so many epochs it is remembered what follows from their keys: a device opens thousands of sets under few."""

EPHEMERAL_PAYLOAD_BYTES: Final = 14 * 1024
"""Largest payload of an ephemeral message."""


@lru_cache(RECENT_KEYS)
def epoch_id(key: bytes) -> EpochId:
    """The id of the epoch whose key this is."""
    return EpochId(hashlib.sha256(domains.EPOCH + key).digest())


def tip(epoch_key: bytes, change_hash: bytes) -> bytes:
    """The keyed MAC, 32 bytes, that stands for an Automerge change hash outside the ciphertext."""
    return hmac.digest(_tip_key(epoch_key), domains.TIP + change_hash, "sha256")


def merge_tip(epoch_key: bytes, dep_tips: Sequence[bytes]) -> bytes:
    """The tip of a merge: over the tips of its deps, in the order of the deps."""
    return domains.mac(_tip_key(epoch_key), domains.MERGE_TIP, *dep_tips)


@lru_cache(RECENT_KEYS)
def _tip_key(epoch_key: bytes) -> bytes:
    return hmac.digest(epoch_key, domains.TIP_KEY, "sha256")


def change_hash(change: bytes) -> bytes:
    """The hash of an Automerge change: of its uncompressed chunk without magic and checksum."""
    return hashlib.sha256(change[_CHUNK_HASHED_FROM:]).digest()


def seal_set(
    *,
    kind: Kind,
    space: SpaceId,
    doc: DocId,
    session: Session,
    seq: int,
    prev: bytes,
    time: int,
    access: Sequence[OpId],
    deps: Sequence[SetId],
    changes: Sequence[bytes],
    epoch_key: bytes,
    signer: Signer,
    random: bytes,
    last_hash: bytes | None = None,
    dep_tips: Sequence[bytes] = (),
) -> ChangeSet:
    """Seal changes of one actor, in the order of their seq, into a change set signed by `signer`.

    `access` and `deps` need not be sorted. `random` is at least 32 fresh random bytes. `last_hash` is the hash of the
    last change, computed from its bytes when None; a merge takes `dep_tips` instead, in the order of its sorted deps.
    Raises `ChangeTooLarge` for more than `plaintext.BODY_BYTES` or 4,096 changes, and `InvalidChangeSet` when a field
    breaks the format.
    """
    _check_count(kind, len(changes))
    if kind is Kind.MERGE and len(dep_tips) != len(deps):
        raise InvalidChangeSet("a merge needs the tip of each of its deps")
    plaintext = pack_changes(changes)
    author = signer.public
    salt = _salt(epoch_key, random, author, session, seq, plaintext)
    header = Header(
        suite=SUITE,
        kind=kind,
        flags=0,
        space=space,
        doc=doc,
        author=author,
        session=session,
        seq=seq,
        prev=prev,
        time=time,
        epoch=epoch_id(epoch_key),
        salt=salt,
        tip=_tip_of(kind, epoch_key, changes, last_hash, dep_tips),
        access=tuple(sorted(access)),
        deps=tuple(sorted(deps)),
        length=len(plaintext) + TAG_BYTES,
    )
    prefix = header.encode()
    cipher, nonce = _cipher(header, epoch_key)
    return ChangeSet.sign(header, prefix, cipher.encrypt(nonce, plaintext, prefix), signer)


def open_set(change_set: ChangeSet, epoch_key: bytes) -> list[bytes]:
    """The changes in a change set.

    Raises `CannotOpen` when the key is not its epoch's or the ciphertext does not verify, `InvalidChangeSet` when what
    is inside breaks the format or is not what the tip says (a merge's tip is checked with `merge_tip`, since it needs
    the deps).
    """
    header = change_set.header
    if epoch_id(epoch_key) != header.epoch:
        raise CannotOpen("a change set is sealed under another epoch's key")
    cipher, nonce = _cipher(header, epoch_key)
    try:
        plaintext = cipher.decrypt(nonce, change_set.ciphertext, change_set.prefix)
    except InvalidTag as error:
        raise CannotOpen("a change set's ciphertext does not verify") from error
    changes = unpack_changes(plaintext)
    _check_count(header.kind, len(changes))
    if header.kind is not Kind.MERGE and _tip_of(header.kind, epoch_key, changes, None, ()) != header.tip:
        raise InvalidChangeSet("a change set's tip is not that of its last change")
    return changes


def _check_count(kind: Kind, count: int) -> None:
    if kind is Kind.MERGE and count:
        raise InvalidChangeSet("a merge carries changes")
    if kind is Kind.CHANGES and not count:
        raise InvalidChangeSet("a change set of kind CHANGES carries none")


def _tip_of(
    kind: Kind, epoch_key: bytes, changes: Sequence[bytes], last_hash: bytes | None, dep_tips: Sequence[bytes]
) -> bytes:
    if kind is Kind.MERGE:
        return merge_tip(epoch_key, dep_tips)
    if not changes:
        return tip(epoch_key, NO_HASH)
    return tip(epoch_key, change_hash(changes[-1]) if last_hash is None else last_hash)


def _salt(epoch_key: bytes, random: bytes, author: DeviceKey, session: Session, number: int, plaintext: bytes) -> bytes:
    if len(random) < 32:
        raise ValueError("sealing needs 32 random bytes")
    message = b"".join((domains.SALT, random[:32], author, session, number.to_bytes(8, "big"), plaintext))
    return hmac.digest(epoch_key, message, "sha256")[:24]


def _cipher(header: Header, epoch_key: bytes) -> tuple[ChaCha20Poly1305, bytes]:
    """The AEAD and nonce of one change set."""
    info = b"".join(
        (domains.SEAL, bytes((header.suite, header.kind)), header.space, header.doc, header.author, header.session)
    )
    return _keyed(epoch_key, header.salt, info)


def _keyed(epoch_key: bytes, salt: bytes, info: bytes) -> tuple[ChaCha20Poly1305, bytes]:
    derived = domains.hkdf(epoch_key, salt, info, 44)
    return ChaCha20Poly1305(derived[:32]), derived[32:]


def seal_ephemeral(
    *,
    kind: EphemeralKind,
    space: SpaceId,
    doc: DocId,
    session: Session,
    counter: int,
    to: DeviceKey,
    payload: bytes,
    epoch_key: bytes,
    signer: Signer,
    random: bytes,
) -> Ephemeral:
    """Seal a payload of at most 14 KiB into an ephemeral message signed by `signer`; raises `LimitExceeded` above."""
    if len(payload) > EPHEMERAL_PAYLOAD_BYTES:
        raise LimitExceeded(f"an ephemeral payload of {len(payload)} bytes is larger than {EPHEMERAL_PAYLOAD_BYTES}")
    plaintext = pad(RAW, payload)
    author, epoch = signer.public, epoch_id(epoch_key)
    salt = _salt(epoch_key, random, author, session, counter, plaintext)
    unsealed = Ephemeral(kind, space, doc, author, session, counter, to, epoch, salt, bytes(len(plaintext) + TAG_BYTES))
    cipher, nonce = _ephemeral_cipher(unsealed, epoch_key)
    ciphertext = cipher.encrypt(nonce, plaintext, unsealed.prefix)
    unsigned = Ephemeral(kind, space, doc, author, session, counter, to, epoch, salt, ciphertext)
    signature = signer.sign(unsigned.signed_message)
    return Ephemeral(kind, space, doc, author, session, counter, to, epoch, salt, ciphertext, signature)


def open_ephemeral(message: Ephemeral, epoch_key: bytes) -> bytes:
    """The payload of an ephemeral message. Raises `CannotOpen`, or `ProtocolError` for a bad inner format."""
    if epoch_id(epoch_key) != message.epoch:
        raise CannotOpen("an ephemeral message is sealed under another epoch's key")
    cipher, nonce = _ephemeral_cipher(message, epoch_key)
    try:
        plaintext = cipher.decrypt(nonce, message.ciphertext, message.prefix)
    except InvalidTag as error:
        raise CannotOpen("an ephemeral message's ciphertext does not verify") from error
    flag, payload = unpad(plaintext, ProtocolError)
    if flag != RAW:
        raise ProtocolError(f"an ephemeral message's plaintext has the unknown flag {flag}")
    return payload


def _ephemeral_cipher(message: Ephemeral, epoch_key: bytes) -> tuple[ChaCha20Poly1305, bytes]:
    info = b"".join(
        (
            domains.EPHEMERAL_SEAL,
            bytes((EPHEMERAL_SUITE, message.kind)),
            message.space,
            message.doc,
            message.author,
            message.session,
        )
    )
    return _keyed(epoch_key, message.salt, info)
