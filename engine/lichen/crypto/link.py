"""The handshake and the frames of a link.

Noise_XX_25519_ChaChaPoly_SHA256. In the payloads of the second and third message each side proves which device it is:
its Ed25519 key and a signature over its role, its Noise static key and the handshake hash up to that payload. So a
signature serves in one handshake, for one role and one static key only.

A frame's plaintext begins with a flag byte: 1 when the sender takes a new key after this frame, else 0. A direction
takes one after each GiB at the latest, and a receiver insists on it.
"""

from __future__ import annotations

from lichen.config import DEFAULT_LIMITS, KIB, MIB
from lichen.crypto.identity import Identity
from lichen.crypto.noise import CipherState, HandshakeState
from lichen.crypto.signing import verify
from lichen.errors import HandshakeFailed, ProtocolError
from lichen.ids import DeviceKey
from lichen.wire.signer import SIGNATURE_BYTES

DOMAIN = b"lichen/link-identity/v1"
HANDSHAKE_BYTES = KIB
"""Longest handshake message."""
FRAME_BYTES = DEFAULT_LIMITS.frame_bytes
"""Longest frame, sealed."""
FRAME_OVERHEAD_BYTES = 17
"""How much longer a frame is than what it carries: the flag and the tag."""
REKEY_BYTES = 1024 * MIB
"""A direction takes a new key after this many bytes."""
PROOF_BYTES = 32 + SIGNATURE_BYTES
"""Length of a device's proof in a handshake."""
_KEEP, _REKEY = b"\x00", b"\x01"


def identity_message(initiator: bool, static_key: bytes, handshake_hash: bytes) -> bytes:
    """What a device signs to prove itself in a handshake."""
    return DOMAIN + (b"I" if initiator else b"R") + static_key + handshake_hash


def prove(identity: Identity, *, initiator: bool, handshake_hash: bytes) -> bytes:
    """A device's proof: its key, and its signature over role, static key and the hash of all before the payload."""
    return identity.device + identity.signer.sign(identity_message(initiator, identity.static_key, handshake_hash))


def proven(noise: HandshakeState, proof: bytes, *, initiator: bool) -> DeviceKey:
    """The device that proved itself in the message that `noise` has read last. Raises `HandshakeFailed`."""
    if len(proof) != PROOF_BYTES or noise.remote_static is None:
        raise HandshakeFailed("a handshake does not carry a device's proof")
    device, signature = DeviceKey(proof[:32]), proof[32:]
    if not verify(device, identity_message(initiator, noise.remote_static, noise.hash_before_payload), signature):
        raise HandshakeFailed("the other side could not prove that it is the device it claims to be")
    return device


class _Direction:
    """One direction's key, and how much it has protected."""

    __slots__ = ("_state", "bytes")

    def __init__(self, state: CipherState) -> None:
        self._state = state
        self.bytes = 0

    def seal(self, plaintext: bytes) -> bytes:
        return self._state.encrypt(b"", plaintext)

    def open(self, frame: bytes) -> bytes:
        return self._state.decrypt(b"", frame)

    def renew(self) -> None:
        self._state.rekey()
        self._state.nonce = 0
        self.bytes = 0


class LinkCiphers:
    """Seals and opens the frames of one link; any failure to open ends its use, both ways."""

    def __init__(self, sending: CipherState, receiving: CipherState) -> None:
        self._sending = _Direction(sending)
        self._receiving = _Direction(receiving)
        self._rekey_wanted = False
        self._broken = False

    def want_new_key(self) -> None:
        """Take a new key for sending with the next frame: to be called each hour."""
        self._rekey_wanted = True

    def seal(self, plaintext: bytes) -> bytes:
        """The next frame. Raises `ProtocolError` after a failure, `ValueError` for more than a frame holds."""
        self._check()
        if len(plaintext) + FRAME_OVERHEAD_BYTES > FRAME_BYTES:
            raise ValueError(f"{len(plaintext)} bytes do not fit a frame of {FRAME_BYTES}")
        self._sending.bytes += len(plaintext)
        renew = self._rekey_wanted or self._sending.bytes >= REKEY_BYTES
        frame = self._sending.seal((_REKEY if renew else _KEEP) + plaintext)
        if renew:
            self._sending.renew()
            self._rekey_wanted = False
        return frame

    def open(self, frame: bytes) -> bytes:
        """The plaintext of the next frame. Raises `ProtocolError` when it is not exactly that, and from then on."""
        self._check()
        self._broken = True  # until the frame is known to be good
        if len(frame) > FRAME_BYTES:
            raise ProtocolError(f"a frame of {len(frame)} bytes is longer than {FRAME_BYTES}")
        try:
            opened = self._receiving.open(frame)
        except HandshakeFailed as error:
            raise ProtocolError("a frame does not verify: it was altered, repeated, left out or reordered") from error
        self._take_flag(opened[:1], len(opened) - 1)
        self._broken = False
        return opened[1:]

    def _take_flag(self, flag: bytes, length: int) -> None:
        self._receiving.bytes += length
        if flag == _REKEY:
            self._receiving.renew()
        elif flag != _KEEP:
            raise ProtocolError("a frame does not begin with a known flag")
        elif self._receiving.bytes >= REKEY_BYTES:
            raise ProtocolError("the other side did not take a new key when it had to")

    def _check(self) -> None:
        if self._broken:
            raise ProtocolError("this link's keys are of no more use: a frame has failed before")


class LinkHandshake:
    """One side's handshake. Feed it what arrives; send what it returns, until `done`.

    `ephemeral` is 32 fresh random bytes. With `expected`, only that device is accepted. After a failure, which is
    always `HandshakeFailed`, it gives out nothing and takes nothing any more.
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
        self._failed = False
        self._noise = HandshakeState(
            "XX", initiator=initiator, static=identity.static_private, ephemeral=ephemeral, prologue=prologue
        )

    @property
    def done(self) -> bool:
        """Both sides are authenticated."""
        return self._noise.finished and self._peer is not None and not self._failed

    @property
    def peer(self) -> DeviceKey:
        """The other side's device key, once `done`."""
        self._expect_done()
        assert self._peer is not None
        return self._peer

    @property
    def handshake_hash(self) -> bytes:
        """32 bytes that name this handshake, once `done`."""
        self._expect_done()
        return self._noise.handshake_hash

    @property
    def session(self) -> LinkCiphers:
        """What protects the frames, once `done`; always the same object."""
        self._expect_done()
        if self._ciphers is None:
            self._ciphers = LinkCiphers(*self._noise.split())
        return self._ciphers

    def _expect_done(self) -> None:
        if not self.done:
            raise HandshakeFailed("the handshake is not finished")

    def step(self, received: bytes | None) -> bytes | None:
        """Take the other side's message (None to begin as the initiator) and return what to send, if anything.

        Raises `HandshakeFailed`.
        """
        if self._failed:
            raise HandshakeFailed("this handshake has failed before")
        self._failed = True  # until the step is made
        if received is not None:
            self._read(received)
        message = self._noise.write_message(self._payload) if self._noise.writes_next else None
        self._failed = False
        return message

    def _payload(self, handshake_hash: bytes) -> bytes:
        if self._initiator and self._peer is None:  # the first message: nothing is known of the other side yet
            return b""
        return prove(self._identity, initiator=self._initiator, handshake_hash=handshake_hash)

    def _read(self, received: bytes) -> None:
        if len(received) > HANDSHAKE_BYTES:
            raise HandshakeFailed(f"a handshake message of {len(received)} bytes is longer than {HANDSHAKE_BYTES}")
        payload = self._noise.read_message(received)
        if self._noise.remote_static is not None:
            self._peer = self._authenticated(payload)
        elif payload:
            raise HandshakeFailed("the first handshake message carries something")

    def _authenticated(self, proof: bytes) -> DeviceKey:
        device = proven(self._noise, proof, initiator=not self._initiator)
        if self._noise.remote_static == self._identity.static_key or device == self._identity.device:
            raise HandshakeFailed("the other side answered with this device's own keys")
        if self._expected is not None and device != self._expected:
            raise HandshakeFailed(f"another device than expected answered: {device.hex()[:12]}")
        return device
