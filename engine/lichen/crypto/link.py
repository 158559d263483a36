"""The handshake and the frames of a link.

Noise_XX_25519_ChaChaPoly_SHA256. In the payloads of the second and third message each side proves which device it is: its
Ed25519 key and a signature over its role, its Noise static key and the handshake hash up to that payload. So a signature
serves in one handshake, for one role and one static key only.

A frame's plaintext begins with a flag byte: 1 when the sender takes a new key after this frame, else 0.
"""

from __future__ import annotations

from lichen.config import KIB, MIB
from lichen.crypto.identity import Identity
from lichen.crypto.noise import CipherState, HandshakeState
from lichen.crypto.signing import verify
from lichen.errors import HandshakeFailed, ProtocolError
from lichen.ids import DeviceKey
from lichen.wire.signer import SIGNATURE_BYTES

DOMAIN = b"lichen/link-identity/v1"
HANDSHAKE_BYTES = KIB
"""Longest handshake message."""
REKEY_BYTES = 1024 * MIB
"""A direction takes a new key after this many bytes."""
_PAYLOAD_BYTES = 32 + SIGNATURE_BYTES
_KEEP, _REKEY = b"\x00", b"\x01"


def identity_message(initiator: bool, static_key: bytes, handshake_hash: bytes) -> bytes:
    """What a device signs to prove itself in a handshake."""
    return DOMAIN + (b"I" if initiator else b"R") + static_key + handshake_hash


class LinkCiphers:
    """Seals and opens the frames of one link; any failure ends its use."""

    def __init__(self, sending: CipherState, receiving: CipherState) -> None:
        self._sending = sending
        self._receiving = receiving
        self._sent_bytes = 0
        self._rekey_wanted = False
        self._broken = False

    def want_new_key(self) -> None:
        """Take a new key for sending with the next frame."""
        self._rekey_wanted = True

    def seal(self, plaintext: bytes) -> bytes:
        """The next frame. Raises `ProtocolError` after a failure."""
        self._check()
        self._sent_bytes += len(plaintext)
        renew = self._rekey_wanted or self._sent_bytes >= REKEY_BYTES
        frame = self._sending.encrypt(b"", (_REKEY if renew else _KEEP) + plaintext)
        if renew:
            self._sending.rekey()
            self._sending.nonce = 0
            self._sent_bytes = 0
            self._rekey_wanted = False
        return frame

    def open(self, frame: bytes) -> bytes:
        """The plaintext of the next frame. Raises `ProtocolError` when it is not exactly that, and from then on."""
        self._check()
        try:
            plaintext = self._receiving.decrypt(b"", frame)
        except HandshakeFailed as error:
            self._broken = True
            raise ProtocolError("a frame does not verify: it was altered, repeated, left out or reordered") from error
        if plaintext[:1] not in (_KEEP, _REKEY):
            self._broken = True
            raise ProtocolError("a frame does not begin with a known flag")
        if plaintext[:1] == _REKEY:
            self._receiving.rekey()
            self._receiving.nonce = 0
        return plaintext[1:]

    def _check(self) -> None:
        if self._broken:
            raise ProtocolError("this link's keys are of no more use: a frame has failed before")


class LinkHandshake:
    """One side's handshake. Feed it what arrives; send what it returns, until `done`.

    `ephemeral` is 32 fresh random bytes. With `expected`, only that device is accepted.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        initiator: bool,
        prologue: bytes,
        ephemeral: bytes,
        expected: DeviceKey | None = None,
    ) -> None:
        self._identity = identity
        self._initiator = initiator
        self._expected = expected
        self._peer: DeviceKey | None = None
        self._ciphers: LinkCiphers | None = None
        self._noise = HandshakeState(
            "XX", initiator=initiator, static=identity.static_private, ephemeral=ephemeral, prologue=prologue
        )
        self._messages = 0

    @property
    def done(self) -> bool:
        """Both sides are authenticated."""
        return self._noise.finished and self._peer is not None

    @property
    def peer(self) -> DeviceKey:
        """The other side's device key, once `done`."""
        if self._peer is None or not self.done:
            raise HandshakeFailed("the handshake is not finished")
        return self._peer

    @property
    def handshake_hash(self) -> bytes:
        """32 bytes that name this handshake, once `done`."""
        return self._noise.handshake_hash

    @property
    def session(self) -> LinkCiphers:
        """What protects the frames, once `done`; always the same object."""
        if self._ciphers is None:
            self._ciphers = LinkCiphers(*self._noise.split())
        return self._ciphers

    def step(self, received: bytes | None) -> bytes | None:
        """Take the other side's message (None to begin as the initiator) and return what to send, if anything.

        Raises `HandshakeFailed`.
        """
        if received is not None:
            if len(received) > HANDSHAKE_BYTES:
                raise HandshakeFailed(f"a handshake message of {len(received)} bytes is longer than {HANDSHAKE_BYTES}")
            self._read(received)
        if not self._noise.writes_next:
            return None
        self._messages += 1
        return self._noise.write_message(b"" if self._first else self._prove)

    @property
    def _first(self) -> bool:
        """The message being written is the initiator's first, which carries nothing."""
        return self._initiator and self._messages == 1

    def _prove(self, handshake_hash: bytes) -> bytes:
        message = identity_message(self._initiator, self._identity.static_key, handshake_hash)
        return self._identity.device + self._identity.signer.sign(message)

    def _read(self, received: bytes) -> None:
        payload = self._noise.read_message(received)
        if self._noise.remote_static is None:
            if payload:
                raise HandshakeFailed("the first handshake message carries something")
            return
        if len(payload) != _PAYLOAD_BYTES:
            raise HandshakeFailed("a handshake does not carry a device's proof")
        device, signature = DeviceKey(payload[:32]), payload[32:]
        message = identity_message(not self._initiator, self._noise.remote_static, self._noise.hash_before_payload)
        if not verify(device, message, signature):
            raise HandshakeFailed("the other side could not prove that it is the device it claims to be")
        if self._noise.remote_static == self._identity.static_key or device == self._identity.device:
            raise HandshakeFailed("the other side answered with this device's own keys")
        if self._expected is not None and device != self._expected:
            raise HandshakeFailed(f"another device than expected answered: {device.hex()[:12]}")
        self._peer = device
