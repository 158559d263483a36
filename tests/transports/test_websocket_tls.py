"""Websockets over TLS."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lichen.errors import ConfigError, Unreachable
from lichen.testing.channels import CHECKS, Check
from lichen.transport import Channel, Listener
from lichen_transports.websocket import WebSocketTransport, transport

from .websocket_pairs import SIZE, open_pair


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    _write_certificate(cert, key)
    return cert, key


def _write_certificate(cert: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lichen test")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def secure(certificate: tuple[Path, Path]) -> WebSocketTransport:
    return WebSocketTransport(client_tls=ssl.create_default_context(cafile=str(certificate[0])))


def secure_url(certificate: tuple[Path, Path]) -> str:
    return f"wss://127.0.0.1:0?cert={certificate[0]}&key={certificate[1]}"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_is_a_channel_over_tls(check: Check, certificate: tuple[Path, Path], listeners: list[Listener]) -> None:
    async def make_pair(message_bytes: int) -> tuple[Channel, Channel]:
        return await open_pair(secure(certificate), listeners, secure_url(certificate), message_bytes)

    await check(make_pair)


async def test_an_untrusted_certificate_is_unreachable_with_a_hint(
    certificate: tuple[Path, Path], listeners: list[Listener]
) -> None:
    listeners.append(await transport.listen(secure_url(certificate), message_bytes=SIZE))
    assert listeners[0].address.startswith("wss://127.0.0.1:")
    assert "?" not in listeners[0].address
    with pytest.raises(Unreachable, match="TLS failed") as caught:
        await transport.dial(listeners[0].address, message_bytes=SIZE)
    assert "certificate" in caught.value.hint


async def test_tls_spoken_to_a_clear_port_is_unreachable(listeners: list[Listener]) -> None:
    listeners.append(await transport.listen("ws://127.0.0.1:0", message_bytes=SIZE))
    with pytest.raises(Unreachable):
        await transport.dial(listeners[0].address.replace("ws:", "wss:"), message_bytes=SIZE)


async def test_clear_spoken_to_a_tls_port_is_unreachable(
    certificate: tuple[Path, Path], listeners: list[Listener]
) -> None:
    listeners.append(await transport.listen(secure_url(certificate), message_bytes=SIZE))
    with pytest.raises(Unreachable):
        await transport.dial(listeners[0].address.replace("wss:", "ws:"), message_bytes=SIZE)


async def test_a_tls_listener_needs_a_readable_certificate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="certificate"):
        await transport.listen("wss://127.0.0.1:0", message_bytes=SIZE)
    with pytest.raises(ConfigError, match="cannot read") as raised:
        await transport.listen(f"wss://127.0.0.1:0?cert={tmp_path}/none.pem", message_bytes=SIZE)
    assert raised.value.hint
