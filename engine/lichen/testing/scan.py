"""Looking for secrets in what should hold none: files, and every column of a database."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import Connection

from lichen.store.schema import metadata


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """A secret as it may stand somewhere: raw, in hexadecimal, and in base64 at any of the three alignments."""
    yield "raw", secret
    yield "hex", secret.hex().encode()
    yield "HEX", secret.hex().upper().encode()
    for pad in range(3):
        # the characters that depend only on the secret, whatever stands before and after it
        encoded = base64.b64encode(bytes(pad) + secret)
        inner = encoded[-(-pad * 8 // 6) : len(encoded) - 4 if (pad + len(secret)) % 3 else len(encoded)]
        yield "base64", inner
        yield "base64url", inner.translate(bytes.maketrans(b"+/", b"-_"))


def find(haystack: bytes, secrets: Iterable[bytes]) -> list[str]:
    """Every form of every secret that stands in some bytes."""
    return [f"{secret!r} as {form}" for secret in secrets for form, found in forms(secret) if found in haystack]


def scan_folder(folder: Path, secrets: Iterable[bytes]) -> list[str]:
    """What is found in the files of a folder, and across them in the order of their names."""
    held = tuple(secrets)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return find(b"\n".join(file.read_bytes() for file in files), held)


def scan_tables(conn: Connection, secrets: Iterable[bytes]) -> list[str]:
    """What is found in any column of any table."""
    held = tuple(secrets)
    found = []
    for table in metadata.sorted_tables:
        for row in conn.execute(table.select()):
            for column, value in zip(table.columns.keys(), row, strict=True):
                data = value.encode() if isinstance(value, str) else value
                if isinstance(data, bytes):
                    found += [f"{table.name}.{column}: {what}" for what in find(data, held)]
    return found
