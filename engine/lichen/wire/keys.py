"""Which public keys may stand in signed objects: canonical, and not of small order.

With an Ed25519 key of small order one fixed signature verifies every message; with an X25519 key of small order
every shared secret is zero. Both are known by their bytes. Sources: RFC 7748, RFC 8032, and "Taming the many
EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020).
"""

from __future__ import annotations

from typing import Final

_P: Final = 2**255 - 19
_SIGN_BIT: Final = 1 << 255

_ED25519_SMALL_Y: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)
_X25519_SMALL_U: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
    }
)


def is_acceptable_ed25519(key: bytes) -> bool:
    """32 bytes that encode a y below p, not that of a point of small order. Whether a point has it is not checked."""
    if len(key) != 32:
        return False
    y = int.from_bytes(key, "little") & ~_SIGN_BIT
    return y < _P and y not in _ED25519_SMALL_Y


def is_acceptable_x25519(key: bytes) -> bool:
    """32 bytes that encode a u below p, not of small order."""
    if len(key) != 32:
        return False
    u = int.from_bytes(key, "little")
    return u < _P and u not in _X25519_SMALL_U
