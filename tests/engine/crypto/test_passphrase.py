"""Key files: what opens them, and what damaged or hostile ones do."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given
from hypothesis import strategies as st
from lichen.crypto import passphrase
from lichen.crypto.passphrase import FILE_BYTES, MOST_MEMORY_KIB, plain_key, unwrap_key, wrap_key
from lichen.errors import ConfigError, StoreDamaged, StoreError, WrongPassphrase

KEY, SALT = b"k" * 32, b"0123456789abcdef"


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 at a fraction of its cost, where its cost is not what is tested."""
    monkeypatch.setattr(passphrase, "MEMORY_KIB", 64)
    monkeypatch.setattr(passphrase, "PASSES", 1)


def test_a_wrapped_key_opens_with_its_passphrase_at_the_documented_cost() -> None:
    content = wrap_key(KEY, "correct horse", SALT)
    assert unwrap_key(content, "correct horse") == KEY
    with pytest.raises(WrongPassphrase):
        unwrap_key(content, "correct horses")
    value = json.loads(content)
    assert (value["memory_kib"], value["passes"], value["lanes"]) == (65_536, 3, 1)
    assert KEY not in content
    assert KEY.hex().encode() not in content


def test_the_file_is_what_the_reference_says() -> None:
    value = json.loads(wrap_key(KEY, "pass", SALT))
    derived = Argon2id(salt=SALT, length=32, iterations=3, lanes=1, memory_cost=65_536).derive(b"pass")
    sealed = ChaCha20Poly1305(derived).encrypt(bytes(12), KEY, b"lichen/data-key/v1")
    assert value == {
        "format": "lichen-key/1",
        "kind": "argon2id",
        "memory_kib": 65_536,
        "passes": 3,
        "lanes": 1,
        "salt": SALT.hex(),
        "sealed": sealed.hex(),
    }


def test_wrapping_takes_time_on_purpose() -> None:
    started = time.perf_counter()
    wrap_key(KEY, "pass", SALT)
    assert time.perf_counter() - started > 0.02


@pytest.mark.usefixtures("cheap")
class TestCheaply:
    def test_a_salt_of_its_own_makes_another_file(self) -> None:
        assert wrap_key(KEY, "pass", SALT) != wrap_key(KEY, "pass", SALT[::-1])

    @pytest.mark.parametrize(("wrapped", "typed"), [("caf\u00e9", "cafe\u0301"), ("\u212b", "A\u030a")])
    def test_a_passphrase_is_the_same_however_it_was_composed(self, wrapped: str, typed: str) -> None:
        assert wrapped != typed
        assert unwrap_key(wrap_key(KEY, wrapped, SALT), typed) == KEY

    def test_a_passphrase_from_bytes_that_are_not_utf8_works_and_is_itself_only(self) -> None:
        odd = b"pass\xff".decode(errors="surrogateescape")
        content = wrap_key(KEY, odd, SALT)
        assert unwrap_key(content, odd) == KEY
        with pytest.raises(WrongPassphrase):
            unwrap_key(content, "passÿ")

    def test_an_empty_passphrase_is_refused(self) -> None:
        with pytest.raises(ConfigError):
            wrap_key(KEY, "", SALT)
        with pytest.raises(WrongPassphrase):
            unwrap_key(wrap_key(KEY, "pass", SALT), "")

    def test_no_passphrase_is_asked_for(self) -> None:
        with pytest.raises(WrongPassphrase, match="protected") as caught:
            unwrap_key(wrap_key(KEY, "pass", SALT), None)
        assert caught.value.hint

    @pytest.mark.parametrize(("key", "salt"), [(KEY, SALT[:15]), (KEY[:31], SALT), (b"", SALT)])
    def test_a_key_or_salt_of_another_length_is_the_callers_mistake(self, key: bytes, salt: bytes) -> None:
        with pytest.raises(ValueError, match="bytes"):
            wrap_key(key, "pass", salt)

    @given(st.data())
    def test_a_flipped_bit_never_gives_another_key(self, data: st.DataObject) -> None:
        content = bytearray(wrap_key(KEY, "pass", SALT))
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
        if _asks_for_much(bytes(content)):
            return
        with contextlib.suppress(WrongPassphrase, StoreDamaged):
            assert unwrap_key(bytes(content), "pass") == KEY  # a flip that means the same: in white space, or A for a

    def test_a_machine_without_the_memory_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        content = wrap_key(KEY, "pass", SALT)

        class Hungry:
            def __init__(self, **_: object) -> None: ...

            def derive(self, _: bytes) -> bytes:
                raise MemoryError

        monkeypatch.setattr(passphrase, "Argon2id", Hungry)
        with pytest.raises(StoreError, match="memory") as caught:
            unwrap_key(content, "pass")
        assert not isinstance(caught.value, WrongPassphrase | StoreDamaged)


def _asks_for_much(content: bytes) -> bool:
    """A flip made it costly within its bounds: correct, but not for a test."""
    try:
        value = json.loads(content)
        return value["memory_kib"] > 4_096 or value["passes"] > 16
    except (ValueError, KeyError, TypeError):
        return False


def test_a_plain_file_opens_without_a_passphrase_and_with_none() -> None:
    assert unwrap_key(plain_key(KEY), None) == KEY
    for words in ("whatever", ""):
        with pytest.raises(WrongPassphrase, match="protected by no passphrase"):
            unwrap_key(plain_key(KEY), words)


WRAPPED: dict[str, Any] = {
    "format": "lichen-key/1",
    "kind": "argon2id",
    "memory_kib": 64,
    "passes": 1,
    "lanes": 1,
    "salt": SALT.hex(),
    "sealed": "00" * 48,
}


@pytest.mark.parametrize(
    "change",
    [
        {"memory_kib": MOST_MEMORY_KIB + 1},
        {"memory_kib": 7},
        {"memory_kib": -1},
        {"memory_kib": "64"},
        {"memory_kib": 64.5},
        {"memory_kib": None},
        {"passes": 0},
        {"passes": 65},
        {"passes": 10**400},
        {"lanes": 0},
        {"lanes": 17, "memory_kib": 4_096},
        {"lanes": []},
        {"salt": ""},
        {"salt": "0011"},
        {"salt": "not hex"},
        {"salt": 7},
        {"sealed": "zz"},
        {"sealed": None},
        {"format": "lichen-key/2"},
        {"kind": "scrypt"},
        {"kind": ["plain"]},
        {"kind": "plain", "key": "00" * 31},
        {"kind": "plain", "key": 5},
        {"kind": "plain"},
    ],
    ids=str,
)
def test_a_file_with_another_value_is_damaged_and_costs_nothing(change: dict[str, Any]) -> None:
    with pytest.raises(StoreDamaged) as caught:
        unwrap_key(json.dumps(WRAPPED | change).encode(), "pass")
    assert caught.value.hint


@pytest.mark.parametrize("name", [name for name in WRAPPED if name not in ("format", "kind")])
def test_a_file_without_one_of_its_values_is_damaged(name: str) -> None:
    with pytest.raises(StoreDamaged):
        unwrap_key(json.dumps({key: value for key, value in WRAPPED.items() if key != name}).encode(), "pass")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b'"lichen-key/1"',
        b"{" * 2_000,
        b"[" * 4_000,
        json.dumps(WRAPPED).encode() + b"{}",
        json.dumps(WRAPPED).encode().ljust(FILE_BYTES + 1),
        b"9" * 4_000,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_what_is_no_key_file_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(StoreDamaged):
        unwrap_key(content, "pass")


@given(st.binary(max_size=200))
def test_any_bytes_raise_only_what_is_documented(content: bytes) -> None:
    with pytest.raises((StoreDamaged, WrongPassphrase)):
        unwrap_key(content, "pass")
