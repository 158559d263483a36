"""What two peers say to each other to open a direct path: offers, answers and goodbyes, as bounded CBOR.

A signal is a CBOR map `{"kind": "offer"|"answer"|"bye", "attempt": 16 bytes, "sdp": text}` (RFC 8949); a goodbye has
no `sdp`. The session description (RFC 8866, RFC 8829) describes exactly one data channel section. Signals come through
others, who may have changed them: the certificate fingerprints that both sides saw go into the handshake, which fails
if they differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cbor2
from lichen.errors import ProtocolError
from lichen.wire import cbor

SIGNAL_BYTES = 12 * 1024
"""Largest signal that is sent or read."""

ATTEMPT_BYTES = 16
"""Length of the random name of one attempt, chosen by the offerer."""

CANDIDATES = 64
"""Most ICE candidates in one description."""

FINGERPRINT_BYTES = 32
"""Length of a SHA-256 certificate fingerprint (RFC 8122)."""

_FINGERPRINT = re.compile(r"a=fingerprint:(\S+) ([0-9A-Fa-f:]+)")


class Kind(Enum):
    """What a signal says."""

    OFFER = "offer"
    ANSWER = "answer"
    BYE = "bye"


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of one attempt."""

    kind: Kind
    attempt: bytes
    """16 random bytes: tells signals of this attempt from those of earlier ones."""
    sdp: str = ""
    """The session description of an offer or answer."""

    def encode(self) -> bytes:
        """The signal as CBOR. Raises `ProtocolError` when it is larger than `SIGNAL_BYTES`."""
        fields: dict[str, Any] = {"kind": self.kind.value, "attempt": self.attempt}
        if self.kind is not Kind.BYE:
            fields["sdp"] = self.sdp
        data = cbor2.dumps(fields)
        if len(data) > SIGNAL_BYTES:
            raise ProtocolError(f"a signal of {len(data)} bytes is too large")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Signal:
        """Read a signal from outside. Raises `ProtocolError` for anything but a well-formed one."""
        if len(data) > SIGNAL_BYTES:
            raise ProtocolError(f"a signal of {len(data)} bytes is too large")
        match _read_cbor(data):
            case {"kind": "bye", "attempt": bytes(attempt), **rest} if len(attempt) == ATTEMPT_BYTES and not rest:
                return cls(Kind.BYE, attempt)
            case {"kind": "offer" | "answer" as kind, "attempt": bytes(attempt), "sdp": str(sdp), **rest} if (
                len(attempt) == ATTEMPT_BYTES and not rest
            ):
                return cls(Kind(kind), attempt, sdp)
        raise ProtocolError("a signal is malformed")


def _read_cbor(data: bytes) -> Any:
    try:
        return cbor.loads(data)
    except ValueError as error:
        raise ProtocolError("a signal is not CBOR") from error


def fingerprint(sdp: str) -> bytes:
    """The SHA-256 fingerprint of the certificate that a description announces: 32 bytes.

    Raises `ProtocolError` unless the description has exactly one section, a data channel's, and names exactly one
    SHA-256 fingerprint, so that what is bound is what DTLS checks.
    """
    lines = sdp.splitlines()
    sections = [line for line in lines if line.startswith("m=")]
    if len(sections) != 1 or not sections[0].startswith("m=application "):
        raise ProtocolError("a description must have one data channel section and no other")
    if sum(line.startswith("a=candidate:") for line in lines) > CANDIDATES:
        raise ProtocolError("a description has too many candidates")
    found = {value.upper() for algorithm, value in map(_split_fingerprint, lines) if algorithm == "sha-256"}
    if len(found) != 1:
        raise ProtocolError("a description must name one SHA-256 fingerprint")
    return _fingerprint_bytes(found.pop())


def _split_fingerprint(line: str) -> tuple[str, str]:
    if not line.lower().startswith("a=fingerprint:"):
        return "", ""
    matched = _FINGERPRINT.fullmatch(line)
    if matched is None:
        raise ProtocolError("a description has a malformed fingerprint")
    return matched[1].lower(), matched[2]


def _fingerprint_bytes(text: str) -> bytes:
    try:
        value = bytes.fromhex(text.replace(":", ""))
    except ValueError as error:
        raise ProtocolError("a description has a malformed fingerprint") from error
    if len(value) != FINGERPRINT_BYTES:
        raise ProtocolError("a description has a malformed fingerprint")
    return value
