"""Padmé: lengths are rounded up so that they tell little, at a cost of at most 12%.

From "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs" (Nikitin, Barman, Lueks, Underwood,
Hubaux, Ford, 2019), section 4: of a length L only the upper log2 log2 L bits of the mantissa are kept.
"""

from __future__ import annotations

from typing import Final

LEAST_BYTES: Final = 32
"""Nothing is padded to less."""


def padded_length(length: int) -> int:
    """The length, at least 32, to which `length` bytes are padded."""
    if length <= LEAST_BYTES:
        return LEAST_BYTES
    exponent = length.bit_length() - 1
    kept = exponent.bit_length()
    mask = (1 << (exponent - kept)) - 1
    return (length + mask) & ~mask
