"""Rows about the node itself."""

from __future__ import annotations

from functools import partial

from lichen.store import Store, node


def test_a_value_is_replaced(store: Store) -> None:
    assert store.write(lambda conn: node.get_meta(conn, "name")).result() is None
    for value in (b"one", b"two"):
        store.write(lambda conn, value=value: node.set_meta(conn, "name", value)).result()  # type: ignore[misc]
    assert store.write(lambda conn: node.get_meta(conn, "name")).result() == b"two"


def at(store: Store, peer: bytes, space: bytes) -> tuple[bytes, int] | None:
    return store.write(lambda conn: node.cursor(conn, peer, space)).result()


def test_a_cursor_belongs_to_one_peer_and_one_space(store: Store) -> None:
    for peer, space, position in ((b"p", b"s", 1), (b"p", b"t", 2), (b"q", b"s", 3), (b"p", b"s", 4)):
        store.write(partial(node.set_cursor, peer=peer, space=space, store=b"store", position=position)).result()
    found = [at(store, peer, space) for peer in (b"p", b"q") for space in (b"s", b"t")]
    assert found == [(b"store", 4), (b"store", 2), (b"store", 3), None]


def test_an_address_is_remembered_once(store: Store) -> None:
    for url in ("ws://b", "ws://a", "ws://b"):
        store.write(lambda conn, url=url: node.add_address(conn, url)).result()  # type: ignore[misc]
    assert store.write(node.list_addresses).result() == ["ws://a", "ws://b"]
