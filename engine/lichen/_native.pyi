"""Strict Ed25519 verification with the GIL released."""

__all__ = ["is_acceptable_key", "verify_many"]

def verify_many(jobs: list[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """For each (public key, message, signature): whether the signature is that key's under the strict equation."""

def is_acceptable_key(key: bytes) -> bool:
    """Whether 32 bytes are a canonical point of the curve that is not of small order."""
