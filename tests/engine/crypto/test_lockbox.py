"""Epoch keys, wrapped to those who may read and sealed under later ones."""

from __future__ import annotations

import contextlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st
from lichen.crypto.lockbox import open_earlier, seal_earlier, unwrap_epoch_key, wrap_epoch_key, wrap_to_all
from lichen.crypto.recovery import RecoveryKey
from lichen.crypto.sealing import epoch_id
from lichen.errors import CannotOpen, LimitExceeded
from lichen.ids import EpochId, SpaceId
from lichen.testing.strategies import ALICE, BOB, id32

SPACE = SpaceId(b"s" * 32)
KEY = b"k" * 32
EPOCH = epoch_id(KEY)


@given(id32)
def test_a_wrapped_key_opens_for_its_recipient_only(key: bytes) -> None:
    wrapped = wrap_epoch_key(key, ALICE.sealing_key, SPACE, epoch_id(key))
    assert unwrap_epoch_key(wrapped, ALICE, SPACE, epoch_id(key)) == key
    with pytest.raises(CannotOpen):
        unwrap_epoch_key(wrapped, BOB, SPACE, epoch_id(key))


def test_a_key_wrapped_for_another_space_or_epoch_does_not_open() -> None:
    wrapped = wrap_epoch_key(KEY, ALICE.sealing_key, SPACE, EPOCH)
    with pytest.raises(CannotOpen):
        unwrap_epoch_key(wrapped, ALICE, SpaceId(b"t" * 32), EPOCH)
    with pytest.raises(CannotOpen):
        unwrap_epoch_key(wrapped, ALICE, SPACE, EpochId(b"e" * 32))


def test_a_key_that_is_not_its_epochs_is_noticed() -> None:
    wrapped = wrap_epoch_key(b"another key, but as long as one.", ALICE.sealing_key, SPACE, EPOCH)
    with pytest.raises(CannotOpen, match="not that of its epoch"):
        unwrap_epoch_key(wrapped, ALICE, SPACE, EPOCH)


def test_a_flipped_bit_or_another_length_does_not_open() -> None:
    wrapped = wrap_epoch_key(KEY, ALICE.sealing_key, SPACE, EPOCH)
    assert len(wrapped) == 80
    for at in range(80):
        flipped = bytearray(wrapped)
        flipped[at] ^= 0x10
        with pytest.raises(CannotOpen):
            unwrap_epoch_key(bytes(flipped), ALICE, SPACE, EPOCH)
    for length in (*range(80), 81, 200):
        with pytest.raises(CannotOpen):
            unwrap_epoch_key(wrapped[:length].ljust(length, b"\0"), ALICE, SPACE, EPOCH)


@pytest.mark.parametrize("recipient", [bytes(32), (1).to_bytes(32, "little"), b"short"])
def test_nothing_is_wrapped_to_an_unusable_key(recipient: bytes) -> None:
    with pytest.raises(CannotOpen):
        wrap_epoch_key(KEY, recipient, SPACE, EPOCH)


@given(st.binary(max_size=120))
def test_noise_raises_only_the_documented_error(noise: bytes) -> None:
    with pytest.raises(CannotOpen):
        unwrap_epoch_key(noise, ALICE, SPACE, EPOCH)
    with contextlib.suppress(CannotOpen):
        assert not open_earlier(noise, KEY, SPACE) or noise


def test_all_recipients_get_a_wrap_each_in_order() -> None:
    recovery = RecoveryKey(b"r" * 32)
    wraps = wrap_to_all(KEY, [BOB.sealing_key, ALICE.sealing_key, recovery.sealing_key, BOB.sealing_key], SPACE)
    assert [wrap.recipient for wrap in wraps] == sorted([ALICE.sealing_key, BOB.sealing_key, recovery.sealing_key])
    opened = {wrap.recipient: wrap.wrapped for wrap in wraps}
    for reader in (ALICE, BOB, recovery):
        assert unwrap_epoch_key(opened[reader.sealing_key], reader, SPACE, EPOCH) == KEY


@given(st.lists(id32, max_size=20, unique=True))
def test_earlier_keys_come_out_by_their_ids(keys: list[bytes]) -> None:
    sealed = seal_earlier(keys, KEY, SPACE, b"r" * 24)
    assert open_earlier(sealed, KEY, SPACE) == {epoch_id(key): key for key in keys}


def test_earlier_keys_open_with_no_other_key_nor_in_another_space() -> None:
    sealed = seal_earlier([b"e" * 32], KEY, SPACE, b"r" * 24)
    for key, space in ((b"o" * 32, SPACE), (KEY, SpaceId(b"t" * 32))):
        with pytest.raises(CannotOpen):
            open_earlier(sealed, key, space)
    for broken in (sealed[:-1], sealed + b"x", sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:40], bytes(72)):
        with pytest.raises(CannotOpen):
            open_earlier(broken, KEY, SPACE)


def test_there_is_a_bound_on_earlier_keys_and_none_need_no_bytes() -> None:
    assert seal_earlier([], KEY, SPACE, b"") == b""
    many = [number.to_bytes(32, "big") for number in range(4_097)]
    assert len(open_earlier(seal_earlier(many[:4_096], KEY, SPACE, b"r" * 24), KEY, SPACE)) == 4_096
    with pytest.raises(LimitExceeded):
        seal_earlier(many, KEY, SPACE, b"r" * 24)
    with pytest.raises(ValueError, match="24 random bytes"):
        seal_earlier(many[:1], KEY, SPACE, b"r")


KEM_ID, HPKE_ID = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"


def labelled_extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + secret, "sha256")


def labelled_expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    message = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01"
    return hmac.digest(key, message, "sha256")[:length]


def hpke_base(private: X25519PrivateKey, encapsulated: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of HPKE's base mode for the receiver, from the text of RFC 9180, sections 4.1 and 5.1."""
    exchanged = private.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    context = encapsulated + private.public_key().public_bytes_raw()
    extracted = labelled_extract(KEM_ID, b"", b"eae_prk", exchanged)
    shared = labelled_expand(KEM_ID, extracted, b"shared_secret", context, 32)
    psk_hash = labelled_extract(HPKE_ID, b"", b"psk_id_hash", b"")
    schedule = b"\x00" + psk_hash + labelled_extract(HPKE_ID, b"", b"info_hash", info)
    secret = labelled_extract(HPKE_ID, shared, b"secret", b"")
    return (
        labelled_expand(HPKE_ID, secret, b"key", schedule, 32),
        labelled_expand(HPKE_ID, secret, b"base_nonce", schedule, 12),
    )


def test_the_formulas_used_here_give_the_vector_of_rfc_9180() -> None:
    """Appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, first encryption."""
    private = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb"
    encapsulated = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"
    ciphertext = "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"
    key, nonce = hpke_base(
        X25519PrivateKey.from_private_bytes(bytes.fromhex(private)),
        bytes.fromhex(encapsulated),
        b"Ode on a Grecian Urn",
    )
    opened = ChaCha20Poly1305(key).decrypt(nonce, bytes.fromhex(ciphertext), b"Count-0")
    assert opened == b"Beauty is truth, truth beauty"


def test_a_wrap_is_hpke_with_space_and_epoch_as_its_info() -> None:
    wrapped = wrap_epoch_key(KEY, ALICE.sealing_key, SPACE, EPOCH)
    key, nonce = hpke_base(ALICE.sealing_private, wrapped[:32], b"lichen/lockbox/v1" + SPACE + EPOCH)
    assert ChaCha20Poly1305(key).decrypt(nonce, wrapped[32:], None) == KEY
