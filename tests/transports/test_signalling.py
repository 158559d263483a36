from __future__ import annotations

import contextlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.errors import ProtocolError
from lichen_transports.signalling import CANDIDATES, SIGNAL_BYTES, Kind, Signal, fingerprint

ATTEMPT = bytes(range(16))
HEX = ":".join(f"{value:02X}" for value in range(32))
SDP = f"v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=fingerprint:sha-256 {HEX}\r\n"


@pytest.mark.parametrize(
    "signal", [Signal(Kind.OFFER, ATTEMPT, SDP), Signal(Kind.ANSWER, ATTEMPT, SDP), Signal(Kind.BYE, ATTEMPT)]
)
def test_a_signal_is_read_as_it_was_written(signal: Signal) -> None:
    assert Signal.decode(signal.encode()) == signal


def test_a_goodbye_carries_no_description() -> None:
    assert cbor2.loads(Signal(Kind.BYE, ATTEMPT, SDP).encode()) == {"kind": "bye", "attempt": ATTEMPT}


def test_a_signal_of_exactly_the_limit_is_allowed_and_one_byte_more_is_not() -> None:
    overhead = len(Signal(Kind.OFFER, ATTEMPT, "x" * 1000).encode()) - 1000
    largest = Signal(Kind.OFFER, ATTEMPT, "x" * (SIGNAL_BYTES - overhead))
    assert len(largest.encode()) == SIGNAL_BYTES
    assert Signal.decode(largest.encode()) == largest
    with pytest.raises(ProtocolError):
        Signal(Kind.OFFER, ATTEMPT, largest.sdp + "x").encode()
    with pytest.raises(ProtocolError):
        Signal.decode(largest.encode() + b"x")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "offer", "attempt": ATTEMPT},
        {"kind": "offer", "attempt": ATTEMPT, "sdp": b"bytes"},
        {"kind": "offer", "attempt": ATTEMPT[:15], "sdp": SDP},
        {"kind": "bye", "attempt": ATTEMPT * 2},
        {"kind": "bye", "attempt": ATTEMPT, "more": 1},
        {"kind": "offer", "attempt": ATTEMPT, "sdp": SDP, "more": 1},
        {"kind": "rollback", "attempt": ATTEMPT, "sdp": SDP},
        {"attempt": ATTEMPT},
        [1, 2],
        "offer",
        None,
    ],
)
def test_a_malformed_signal_is_a_protocol_error(fields: object) -> None:
    with pytest.raises(ProtocolError):
        Signal.decode(cbor2.dumps(fields))


@given(st.binary(max_size=200))
def test_whatever_bytes_come_only_a_protocol_error_is_raised(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Signal.decode(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_signal_with_a_flipped_byte_is_read_or_refused(at: int, value: int) -> None:
    data = bytearray(Signal(Kind.OFFER, ATTEMPT, SDP).encode())
    data[at % len(data)] = value
    with contextlib.suppress(ProtocolError):
        Signal.decode(bytes(data))


def test_deep_nesting_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        Signal.decode(b"\x81" * 12_000)


def test_the_fingerprint_is_the_certificates_sha_256() -> None:
    assert fingerprint(SDP) == bytes(range(32))
    assert fingerprint(SDP.lower().replace("udp/dtls/sctp", "UDP/DTLS/SCTP")) == bytes(range(32))


def test_other_digests_beside_it_are_allowed_and_the_same_one_twice_too() -> None:
    assert fingerprint(f"{SDP}a=fingerprint:sha-512 {HEX}:{HEX}\r\na=fingerprint:SHA-256 {HEX}\r\n") == bytes(range(32))


@pytest.mark.parametrize(
    "sdp",
    [
        "",
        "v=0\r\n",
        SDP.replace("a=fingerprint", "a=other"),
        SDP.replace("sha-256", "sha-512"),
        SDP.replace(":1F", ""),
        SDP.replace(":1F", ":1"),
        SDP.replace(HEX, "zz"),
        SDP + f"a=fingerprint:sha-256 {HEX.replace('1F', '20')}\r\n",
        SDP + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
        SDP + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
        SDP.replace("m=application", "m=video"),
        SDP + "a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n" * (CANDIDATES + 1),
    ],
)
def test_an_unusable_description_is_a_protocol_error(sdp: str) -> None:
    with pytest.raises(ProtocolError):
        fingerprint(sdp)
