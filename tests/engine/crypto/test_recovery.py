"""The recovery key: written down, typed in again, and used as signer and recipient."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.crypto.recovery import RecoveryKey
from lichen.errors import ConfigError
from lichen.testing.strategies import id32, verifies
from lichen.wire.operation import recovery_hash

KEY = RecoveryKey(b"\x42" * 32)


@given(id32)
def test_a_key_survives_being_written_down(secret: bytes) -> None:
    key = RecoveryKey(secret)
    again = RecoveryKey.parse(key.text)
    assert again.public == key.public
    assert again.sealing_key == key.sealing_key
    assert again.text == key.text


def test_the_text_is_in_groups_of_five() -> None:
    assert re.fullmatch(r"([a-z2-7]{5}-){11}[a-z2-7]{3}", KEY.text)


def test_how_people_type_it_is_forgiven() -> None:
    text = KEY.text
    for typed in (text.upper(), text.replace("-", " "), text.replace("-", ""), f"  {text}\n", text.replace("-", "\n")):
        assert RecoveryKey.parse(typed).text == text
    with_lookalikes = text.replace("o", "0").replace("b", "8")
    assert RecoveryKey.parse(with_lookalikes).text == text


def test_each_changed_or_lost_letter_is_noticed() -> None:
    letters = KEY.text.replace("-", "")
    for at, letter in enumerate(letters):
        for wrong in (
            letters[:at] + letters[at + 1 :],
            letters[:at] + ("c" if letter != "c" else "d") + letters[at + 1 :],
        ):
            with pytest.raises(ConfigError):
                RecoveryKey.parse(wrong)


@given(st.text(max_size=100))
def test_other_texts_raise_only_the_documented_error(text: str) -> None:
    with pytest.raises(ConfigError):
        RecoveryKey.parse(text)


def test_a_long_text_is_not_looked_at() -> None:
    with pytest.raises(ConfigError, match="too long"):
        RecoveryKey.parse(KEY.text + " " * 2_000)


def test_it_signs() -> None:
    assert verifies(KEY.public, b"message", KEY.sign(b"message"))


def test_the_genesis_commits_to_both_public_keys() -> None:
    assert KEY.hash == recovery_hash(KEY.public, KEY.sealing_key)
    assert KEY.hash != RecoveryKey(b"\x43" * 32).hash


def test_the_secret_is_not_shown() -> None:
    assert KEY.text not in repr(KEY)
    assert "4242" not in repr(KEY)


def test_a_secret_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError):
        RecoveryKey(b"short")
