"""Vectors made by others: cacophony for Noise, Wycheproof for the primitives, RFC 9180 for HPKE."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from lichen.crypto import lockbox
from lichen.crypto.identity import Identity
from lichen.crypto.noise import CipherState, HandshakeState
from lichen.crypto.sealing import epoch_id
from lichen.crypto.signing import verify_many
from lichen.ids import SpaceId
from lichen.wire.domains import LOCKBOX, hkdf
from lichen.wire.keys import is_acceptable_x25519

VECTORS = Path(__file__).parent / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def rows(name: str) -> list[dict[str, Any]]:
    table = load(f"wycheproof_{name}.json")
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def unhex(value: str) -> bytes:
    return bytes.fromhex(value)


# Noise


def side(vector: dict[str, Any], who: str) -> HandshakeState:
    psks = vector.get(f"{who}_psks")
    remote = vector.get(f"{who}_remote_static")
    return HandshakeState(
        vector["protocol_name"].split("_")[1],
        initiator=who == "init",
        static=X25519PrivateKey.from_private_bytes(unhex(vector[f"{who}_static"])),
        ephemeral=unhex(vector[f"{who}_ephemeral"]),
        prologue=unhex(vector[f"{who}_prologue"]),
        remote_static=unhex(remote) if remote else None,
        psk=unhex(psks[0]) if psks else None,
    )


@pytest.mark.parametrize("vector", load("cacophony.json")["vectors"], ids=lambda v: v["protocol_name"].split("_")[1])
def test_noise_gives_the_bytes_of_cacophony(vector: dict[str, Any]) -> None:
    sides = [side(vector, "init"), side(vector, "resp")]
    states: list[tuple[CipherState, CipherState]] = []
    for number, message in enumerate(vector["messages"]):
        payload, expected = unhex(message["payload"]), unhex(message["ciphertext"])
        writer, reader = number % 2, 1 - number % 2
        if not sides[0].finished:
            assert sides[writer].write_message(payload) == expected
            assert sides[reader].read_message(expected) == payload
            continue
        states = states or [handshake.split() for handshake in sides]
        assert states[writer][0].encrypt(b"", payload) == expected
        assert states[reader][1].decrypt(b"", expected) == payload
    assert states
    assert {handshake.handshake_hash.hex() for handshake in sides} == {vector["handshake_hash"]}


def test_every_pattern_in_use_has_a_vector() -> None:
    names = sorted(vector["protocol_name"] for vector in load("cacophony.json")["vectors"])
    assert names == [f"Noise_{pattern}_25519_ChaChaPoly_SHA256" for pattern in ("IK", "XX", "XXpsk3")]


# Wycheproof


def test_signatures_are_judged_as_wycheproof_does() -> None:
    vectors = rows("ed25519")
    verdicts = verify_many([(unhex(v["key"]), unhex(v["message"]), unhex(v["signature"])) for v in vectors])
    expected = {v["number"]: v["result"] == "valid" for v in vectors}
    assert dict(zip(expected, verdicts, strict=True)) == expected
    assert len(expected) == 150
    assert 0 < sum(verdicts) < 150


def test_key_agreement_gives_the_secrets_of_wycheproof_and_refuses_what_it_warns_of() -> None:
    refused = agreed = 0
    for vector in rows("x25519"):
        public = unhex(vector["public"])
        warned = {"LowOrderPublic", "NonCanonicalPublic", "ZeroSharedSecret"} & set(vector["flags"])
        if not is_acceptable_x25519(public):
            assert vector["result"] != "valid", vector["number"]
            assert warned or public[31] & 0x80, vector["number"]
            refused += 1
            continue
        assert not warned, vector["number"]
        private = X25519PrivateKey.from_private_bytes(unhex(vector["private"]))
        assert private.exchange(X25519PublicKey.from_public_bytes(public)).hex() == vector["shared"], vector["number"]
        agreed += 1
    assert (refused + agreed, refused > 20) == (518, True)


def test_the_aead_seals_and_opens_as_in_wycheproof() -> None:
    for vector in rows("chacha20_poly1305"):
        cipher, nonce, associated = (
            ChaCha20Poly1305(unhex(vector["key"])),
            unhex(vector["nonce"]),
            unhex(vector["associated"]),
        )
        sealed = unhex(vector["ciphertext"] + vector["tag"])
        if vector["result"] == "valid":
            assert cipher.encrypt(nonce, unhex(vector["plaintext"]), associated) == sealed, vector["number"]
            assert cipher.decrypt(nonce, sealed, associated) == unhex(vector["plaintext"]), vector["number"]
        else:
            with pytest.raises((InvalidTag, ValueError)):
                cipher.decrypt(nonce, sealed, associated)


def test_key_derivation_gives_the_bytes_of_wycheproof() -> None:
    for vector in rows("hkdf_sha256"):
        arguments = unhex(vector["secret"]), unhex(vector["salt"]), unhex(vector["info"]), vector["length"]
        if vector["result"] == "valid":
            assert hkdf(*arguments).hex() == vector["derived"], vector["number"]
        else:
            with pytest.raises(ValueError, match="256"):
                hkdf(*arguments)


# HPKE: RFC 9180, appendix A.2.1 (DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode)

A_2_1 = {
    "info": "4f6465206f6e2061204772656369616e2055726e",
    "skEm": "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600",
    "pkEm": "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
    "skRm": "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
    "shared_secret": "0bbe78490412b4bbea4812666f7916932b828bba79942424abb65244930d69a7",
    "key": "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91",
    "base_nonce": "5c4d98150661b848853b547f",
    "pt": "4265617574792069732074727574682c20747275746820626561757479",
    "aad": "436f756e742d30",
    "ct": "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
}
KEM, SUITE = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"


def extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")


def expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(secret, labelled + b"\x01", "sha256")[:length]


def hpke_keys(ephemeral: X25519PrivateKey, recipient: bytes, info: bytes) -> tuple[bytes, bytes, bytes]:
    """Shared secret, key and base nonce, written from the RFC's sections 4.1 and 5.1."""
    enc = ephemeral.public_key().public_bytes_raw()
    dh = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    shared = expand(KEM, extract(KEM, b"", b"eae_prk", dh), b"shared_secret", enc + recipient, 32)
    context = b"\x00" + extract(SUITE, b"", b"psk_id_hash", b"") + extract(SUITE, b"", b"info_hash", info)
    secret = extract(SUITE, shared, b"secret", b"")
    return shared, expand(SUITE, secret, b"key", context, 32), expand(SUITE, secret, b"base_nonce", context, 12)


def test_hpke_written_from_the_rfc_gives_its_vector() -> None:
    vector = {name: unhex(value) for name, value in A_2_1.items()}
    recipient = X25519PrivateKey.from_private_bytes(vector["skRm"]).public_key().public_bytes_raw()
    ephemeral = X25519PrivateKey.from_private_bytes(vector["skEm"])
    keys = hpke_keys(ephemeral, recipient, vector["info"])
    assert keys == (vector["shared_secret"], vector["key"], vector["base_nonce"])
    assert ChaCha20Poly1305(keys[1]).encrypt(keys[2], vector["pt"], vector["aad"]) == vector["ct"]


def test_an_epoch_key_wrapped_by_that_hpke_opens_here() -> None:
    identity = Identity(bytes(range(96)))
    space, key = SpaceId(b"s" * 32), b"k" * 32
    ephemeral = X25519PrivateKey.from_private_bytes(unhex(A_2_1["skEm"]))
    _, aead_key, nonce = hpke_keys(ephemeral, identity.sealing_key, LOCKBOX + space + epoch_id(key))
    wrapped = ephemeral.public_key().public_bytes_raw() + ChaCha20Poly1305(aead_key).encrypt(nonce, key, b"")
    assert lockbox.unwrap_epoch_key(wrapped, identity, space, epoch_id(key)) == key
