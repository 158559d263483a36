"""Transports by the scheme of an address, found through entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast
from urllib.parse import parse_qs, urlsplit, urlunsplit

from lichen.errors import ConfigError
from lichen.transport import SignalledTransport, Transport

GROUP = "lichen.transports"
"""The entry-point group: an entry's name is a scheme, its object a transport."""


def find(scheme: str) -> object:
    """The transport of a scheme. Raises `ConfigError` when none is installed, or it cannot be loaded."""
    for entry in entry_points(group=GROUP, name=scheme):
        try:
            return cast(object, entry.load())
        except ImportError as error:
            raise ConfigError(
                f"the transport for {scheme}: cannot be loaded: {error}", hint=f"pip install 'lichen[{scheme}]'"
            ) from error
    raise ConfigError(f"no transport for the scheme {scheme!r} is installed", hint="addresses look like ws://host:port")


def transport_for(url: str) -> Transport:
    """The transport that dials and listens at an address."""
    scheme = urlsplit(url).scheme
    if not scheme:
        raise ConfigError(f"{url[:100]!r} is no address", hint="addresses look like ws://host:port")
    found = find(scheme)
    if not isinstance(found, Transport):
        raise ConfigError(
            f"{scheme}: addresses can be neither dialled nor listened at", hint="addresses look like ws://host:port"
        )
    return found


def signalled(scheme: str) -> SignalledTransport:
    """The transport of a scheme whose channels are negotiated over another link."""
    found = find(scheme)
    if not hasattr(found, "connect"):
        raise ConfigError(f"{scheme}: paths are not negotiated over other links", hint="use webrtc")
    return cast(SignalledTransport, found)


def split_token(url: str) -> tuple[str, bytes]:
    """An address without its `token` parameter, and that token: what a relay asks of strangers."""
    try:
        parts = urlsplit(url)
        token = parse_qs(parts.query.replace("+", "%2B")).get("token", [""])[-1]  # a + in a token is no blank
    except ValueError as error:
        raise ConfigError(f"{url!r} is not an address: {error}", hint="addresses look like ws://host:port") from error
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")), token.encode()
