"""The key file beside a store: the store's data key, wrapped by a passphrase (Argon2id, RFC 9106) or plain.

A key file is one JSON object, with bytes in hexadecimal, the passphrase in Unicode form NFC as UTF-8::

    {"format": "lichen-key/1", "kind": "argon2id", "memory_kib", "passes", "lanes", "salt", "sealed"}
    {"format": "lichen-key/1", "kind": "plain", "key"}

The plain one is for a node that starts unattended.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from lichen.config import KIB
from lichen.errors import ConfigError, StoreDamaged, StoreError, WrongPassphrase

FORMAT = "lichen-key/1"
KEY_BYTES = 32
SALT_BYTES = 16
MEMORY_KIB = 64 * KIB
PASSES = 3
LANES = 1
MOST_MEMORY_KIB = 1024 * KIB
"""Most memory that a key file may ask for: a forged one must not exhaust the machine."""
MOST_PASSES = 64
FILE_BYTES = 4 * KIB
"""Largest key file."""
_AD = b"lichen/data-key/v1"


def wrap_key(data_key: bytes, passphrase: str, random: bytes) -> bytes:
    """A key file's content. `random` is 16 fresh random bytes or more. Raises `ConfigError` for an empty passphrase."""
    if not passphrase:
        raise ConfigError("a passphrase must not be empty")
    if len(random) < SALT_BYTES or len(data_key) != KEY_BYTES:
        raise ValueError(f"a data key is {KEY_BYTES} bytes, its salt {SALT_BYTES}")
    salt = random[:SALT_BYTES]
    cipher = _cipher(passphrase, salt, MEMORY_KIB, PASSES, LANES)
    sealed = cipher.encrypt(bytes(12), data_key, _AD)  # the key is used for this one message
    value = {
        "format": FORMAT,
        "kind": "argon2id",
        "memory_kib": MEMORY_KIB,
        "passes": PASSES,
        "lanes": LANES,
        "salt": salt.hex(),
        "sealed": sealed.hex(),
    }
    return json.dumps(value, indent=1).encode() + b"\n"


def plain_key(data_key: bytes) -> bytes:
    """The content of a key file that needs no passphrase: `data_key`, 32 bytes, stands in it."""
    return json.dumps({"format": FORMAT, "kind": "plain", "key": data_key.hex()}, indent=1).encode() + b"\n"


def unwrap_key(content: bytes, passphrase: str | None) -> bytes:
    """The data key, 32 bytes. Raises `WrongPassphrase`, also when one is needed and not given, or given and not needed:
    who gives one believes that it protects something; and `StoreDamaged`.
    """
    value = _parse(content)
    try:
        if value["kind"] == "plain":
            key = _key(bytes.fromhex(value["key"]))
            if passphrase is not None:
                what = "this store is protected by no passphrase: its key lies in the file beside it"
                hint = "open it without one; or make a new store with one, and pair it with this device"
                raise WrongPassphrase(what, hint=hint)
            return key
        if passphrase is None:
            raise WrongPassphrase("this store is protected by a passphrase", hint="give the passphrase")
        return _unseal(value, passphrase)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreDamaged(f"the key file is malformed: {error}", hint="restore it from a backup") from error


def is_plain(content: bytes) -> bool:
    """Whether a key file needs no passphrase. Raises `StoreDamaged`."""
    return bool(_parse(content)["kind"] == "plain")


def _parse(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content) if len(content) <= FILE_BYTES else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("format") != FORMAT or value.get("kind") not in ("argon2id", "plain"):
        raise StoreDamaged("the key file is not one that this version knows", hint="restore it from a backup")
    return value


def _unseal(value: dict[str, Any], passphrase: str) -> bytes:
    memory, passes, lanes = value["memory_kib"], value["passes"], value["lanes"]
    if not (8 * lanes <= memory <= MOST_MEMORY_KIB and 1 <= passes <= MOST_PASSES and 1 <= lanes <= 16):
        raise ValueError("cost out of bounds")
    cipher = _cipher(passphrase, bytes.fromhex(value["salt"]), memory, passes, lanes)
    try:
        return _key(cipher.decrypt(bytes(12), bytes.fromhex(value["sealed"]), _AD))
    except InvalidTag:
        raise WrongPassphrase("the passphrase is wrong", hint="try again; there is no way around it") from None


def _key(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError("the key has another length")
    return key


def _cipher(passphrase: str, salt: bytes, memory: int, passes: int, lanes: int) -> ChaCha20Poly1305:
    kdf = Argon2id(salt=salt, length=KEY_BYTES, iterations=passes, lanes=lanes, memory_cost=memory)
    secret = unicodedata.normalize("NFC", passphrase).encode(errors="surrogatepass")
    try:
        return ChaCha20Poly1305(kdf.derive(secret))
    except MemoryError as error:
        raise StoreError(f"{memory // KIB} MiB of memory are needed to open the key file, and are not there") from error
