"""The Noise protocol framework (revision 34), sans I/O: XX, IK and XXpsk3 over 25519, ChaChaPoly and SHA256.

A `HandshakeState` writes and reads messages; when it is `finished`, `split` gives the two `CipherState`s. Randomness,
which is only the ephemeral key, is passed in. Every failure is `HandshakeFailed`. A state in which a message failed
half way is of no more use and says so; who must try messages that may not be the other side's tries them on a `fork`.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from lichen.errors import HandshakeFailed
from lichen.wire.keys import is_acceptable_x25519

KEY_BYTES = 32
TAG_BYTES = 16
MESSAGE_BYTES = 65_535
"""Longest Noise message (section 3 of the specification)."""
_MAX_NONCE = 2**64 - 1

_PATTERNS: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    # name: (responder's pre-messages, messages in turn from the initiator)
    "XX": ((), (("e",), ("e", "ee", "s", "es"), ("s", "se"))),
    "XXpsk3": ((), (("e",), ("e", "ee", "s", "es"), ("s", "se", "psk"))),
    "IK": (("s",), (("e", "es", "s", "ss"), ("e", "ee", "se"))),
}


class CipherState:
    """A key and a counter (section 5.1). Without a key it passes everything through."""

    __slots__ = ("_aead", "nonce")

    def __init__(self, key: bytes | None = None) -> None:
        """`key` is 32 bytes."""
        self._aead = None if key is None else ChaCha20Poly1305(key)
        self.nonce = 0
        """The counter: how many messages this key has sealed or opened."""

    @property
    def has_key(self) -> bool:
        """Whether it seals at all."""
        return self._aead is not None

    def encrypt(self, ad: bytes, plaintext: bytes) -> bytes:
        """Seal. Raises `HandshakeFailed` when the counter is used up."""
        if self._aead is None:
            return plaintext
        sealed = self._aead.encrypt(self._nonce_bytes(), plaintext, ad)
        self.nonce += 1
        return sealed

    def decrypt(self, ad: bytes, ciphertext: bytes) -> bytes:
        """Open; the counter moves only when it verifies. Raises `HandshakeFailed`."""
        if self._aead is None:
            return ciphertext
        try:
            plaintext = self._aead.decrypt(self._nonce_bytes(), ciphertext, ad)
        except InvalidTag as error:
            raise HandshakeFailed("a sealed Noise message does not verify") from error
        self.nonce += 1
        return plaintext

    def rekey(self) -> None:
        """Replace the key by one derived from it (section 4.2, REKEY); the counter goes on."""
        if self._aead is not None:
            derived = self._aead.encrypt(_nonce(_MAX_NONCE), bytes(KEY_BYTES), b"")[:KEY_BYTES]
            self._aead = ChaCha20Poly1305(derived)

    def _nonce_bytes(self) -> bytes:
        if self.nonce >= _MAX_NONCE:
            raise HandshakeFailed("a Noise key has sealed as many messages as it may")
        return _nonce(self.nonce)


def _nonce(counter: int) -> bytes:
    return b"\x00\x00\x00\x00" + counter.to_bytes(8, "little")


def _hkdf(chaining_key: bytes, material: bytes, outputs: int) -> list[bytes]:
    secret = hmac.digest(chaining_key, material, hashlib.sha256)
    found = [hmac.digest(secret, b"\x01", hashlib.sha256)]
    for number in range(2, outputs + 1):
        found.append(hmac.digest(secret, found[-1] + bytes((number,)), hashlib.sha256))
    return found


class HandshakeState:
    """One side of a handshake (section 5.3).

    `ephemeral` is 32 fresh random bytes; `remote_static` is needed by the initiator of IK; `psk`, 32 bytes, by XXpsk3
    and by no other pattern. Anything else is the caller's mistake: `ValueError`.
    """

    def __init__(
        self,
        pattern: str,
        *,
        initiator: bool,
        static: X25519PrivateKey,
        ephemeral: bytes,
        prologue: bytes = b"",
        remote_static: bytes | None = None,
        psk: bytes | None = None,
    ) -> None:
        pre, self._messages = _PATTERNS[pattern]
        self._psk_mode = "psk" in pattern
        if self._psk_mode != (psk is not None) or (psk is not None and len(psk) != KEY_BYTES):
            raise ValueError(f"a shared key of {KEY_BYTES} bytes is for patterns with psk, and these need one")
        self._initiator = initiator
        self._static = static
        self._ephemeral = X25519PrivateKey.from_private_bytes(ephemeral)
        self._remote_ephemeral: bytes | None = None
        self._psk = psk
        self._at = 0
        self._broken = False
        self.remote_static = remote_static
        self.hash_before_payload = b""
        """Of the message read last: the hash of all that came before its payload."""
        name = f"Noise_{pattern}_25519_ChaChaPoly_SHA256".encode()
        self._hash = name.ljust(32, b"\x00") if len(name) <= 32 else hashlib.sha256(name).digest()
        self._chaining_key = self._hash
        self._cipher = CipherState()
        self._mix_hash(prologue)
        if "s" in pre:
            own = static.public_key().public_bytes_raw()
            known = remote_static if initiator else own
            if known is None:
                raise ValueError(f"{pattern} needs the responder's static key")
            self._mix_hash(known)

    @property
    def finished(self) -> bool:
        """Every message of the pattern has been written and read."""
        return self._at == len(self._messages)

    @property
    def writes_next(self) -> bool:
        """Whether it is this side's turn to write."""
        return not self.finished and (self._at % 2 == 0) == self._initiator

    @property
    def handshake_hash(self) -> bytes:
        """32 bytes that name this handshake; the same on both sides, and nowhere else."""
        return self._hash

    def fork(self) -> HandshakeState:
        """A copy that goes its own way. Of the two, only one may write."""
        twin = copy.copy(self)
        twin._cipher = copy.copy(self._cipher)  # noqa: SLF001 - the twin is of this class
        return twin

    # Symmetric state (section 5.2)

    def _mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def _mix_key(self, material: bytes) -> None:
        self._chaining_key, key = _hkdf(self._chaining_key, material, 2)
        self._cipher = CipherState(key)

    def _mix_key_and_hash(self, material: bytes) -> None:
        self._chaining_key, mixed, key = _hkdf(self._chaining_key, material, 3)
        self._mix_hash(mixed)
        self._cipher = CipherState(key)

    def _seal(self, plaintext: bytes) -> bytes:
        sealed = self._cipher.encrypt(self._hash, plaintext)
        self._mix_hash(sealed)
        return sealed

    def _open(self, sealed: bytes) -> bytes:
        plaintext = self._cipher.decrypt(self._hash, sealed)
        self._mix_hash(sealed)
        return plaintext

    def _dh(self, private: X25519PrivateKey, public: bytes | None) -> None:
        if public is None or not is_acceptable_x25519(public):
            raise HandshakeFailed("the other side's key is not acceptable")
        try:
            self._mix_key(private.exchange(X25519PublicKey.from_public_bytes(public)))
        except ValueError as error:
            raise HandshakeFailed("the other side's key is of small order") from error

    def _mix_token(self, token: str) -> None:
        match token:
            case "ee":
                self._dh(self._ephemeral, self._remote_ephemeral)
            case "es":
                self._mix_crossed(ephemeral_is_own=self._initiator)
            case "se":
                self._mix_crossed(ephemeral_is_own=not self._initiator)
            case "ss":
                self._dh(self._static, self.remote_static)
            case "psk":
                self._mix_key_and_hash(self._psk or b"")

    def _mix_crossed(self, *, ephemeral_is_own: bool) -> None:
        """One side's ephemeral key with the other's static one."""
        if ephemeral_is_own:
            self._dh(self._ephemeral, self.remote_static)
        else:
            self._dh(self._static, self._remote_ephemeral)

    # Messages

    def write_message(self, payload: bytes | Callable[[bytes], bytes]) -> bytes:
        """The next message, carrying `payload`, or what it makes of the hash of all that comes before the payload.

        Raises `HandshakeFailed` out of turn.
        """
        self._expect(self.writes_next)
        self._broken = True  # until the message is whole
        message = b"".join(self._write_token(token) for token in self._messages[self._at])
        message += self._seal(payload if isinstance(payload, bytes) else payload(self._hash))
        if len(message) > MESSAGE_BYTES:
            raise HandshakeFailed("a handshake message is longer than Noise allows")
        self._at += 1
        self._broken = False
        return message

    def _write_token(self, token: str) -> bytes:
        if token == "e":
            public = self._ephemeral.public_key().public_bytes_raw()
            self._mix_hash(public)
            if self._psk_mode:
                self._mix_key(public)
            return public
        if token == "s":
            return self._seal(self._static.public_key().public_bytes_raw())
        self._mix_token(token)
        return b""

    def read_message(self, message: bytes) -> bytes:
        """The payload of the other side's next message. Raises `HandshakeFailed`; then the state is of no more use."""
        self._expect(not self.finished and not self.writes_next)
        if len(message) > MESSAGE_BYTES:
            raise HandshakeFailed("a handshake message is longer than Noise allows")
        self._broken = True  # until the message is whole
        rest = message
        for token in self._messages[self._at]:
            rest = self._read_token(token, rest)
        self.hash_before_payload = self._hash
        payload = self._open(rest)
        self._at += 1
        self._broken = False
        return payload

    def _read_token(self, token: str, rest: bytes) -> bytes:
        if token == "e":
            self._remote_ephemeral, rest = _take(rest, KEY_BYTES)
            self._mix_hash(self._remote_ephemeral)
            if self._psk_mode:
                self._mix_key(self._remote_ephemeral)
            return rest
        if token == "s":
            sealed, rest = _take(rest, KEY_BYTES + (TAG_BYTES if self._cipher.has_key else 0))
            self.remote_static = self._open(sealed)
            return rest
        self._mix_token(token)
        return rest

    def _expect(self, turn: bool) -> None:
        if self._broken:
            raise HandshakeFailed("this handshake has failed before")
        if not turn:
            raise HandshakeFailed("a handshake message came out of turn")

    def split(self) -> tuple[CipherState, CipherState]:
        """The states to send with and to receive with, for this side. Raises `HandshakeFailed` before the end."""
        if not self.finished or self._broken:
            raise HandshakeFailed("the handshake is not finished")
        first, second = _hkdf(self._chaining_key, b"", 2)
        keys = (first, second) if self._initiator else (second, first)
        return CipherState(keys[0]), CipherState(keys[1])


def _take(data: bytes, length: int) -> tuple[bytes, bytes]:
    if len(data) < length:
        raise HandshakeFailed("a handshake message is cut short")
    return data[:length], data[length:]
