"""The tables: one schema for devices and relays, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from lichen.store.sealed import sealed_bytes, sealed_text

Number = BigInteger().with_variant(Integer, "sqlite")
"""A rowid on SQLite, where only INTEGER counts itself up."""

BODY = "lichen_changes.body"
HEADS = "lichen_documents.heads"
LAST_HASH = "lichen_change_sets.last_hash"
SNAPSHOT = "lichen_snapshots.body"
TITLE = "lichen_documents.title"

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

meta = Table(
    "lichen_meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", sealed_bytes("lichen_meta.value"), nullable=False),
)

spaces = Table(
    "lichen_spaces",
    metadata,
    Column("space", LargeBinary, primary_key=True),
    Column("joined_ms", BigInteger, nullable=False),
    Column("inviter", LargeBinary),
)

operations = Table(
    "lichen_operations",
    metadata,
    Column("num", Number, primary_key=True, autoincrement=True),
    Column("id", LargeBinary, nullable=False),
    Column("space", LargeBinary, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("id"),
    sqlite_autoincrement=True,
)

epoch_keys = Table(
    "lichen_epoch_keys",
    metadata,
    Column("space", LargeBinary, primary_key=True),
    Column("epoch", LargeBinary, primary_key=True),
    Column("key", sealed_bytes("lichen_epoch_keys.key"), nullable=False),
)

change_sets = Table(
    "lichen_change_sets",
    metadata,
    Column("num", Number, primary_key=True, autoincrement=True),
    Column("id", LargeBinary, nullable=False),
    Column("space", LargeBinary, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    Column("author", LargeBinary, nullable=False),
    Column("session", LargeBinary, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("deps", LargeBinary, nullable=False),
    Column("access", LargeBinary, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("tip", LargeBinary, nullable=False),
    Column("last_hash", sealed_bytes(LAST_HASH)),
    Column("size", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("id"),
    Index(None, "space", "num"),
    Index(None, "doc"),
    sqlite_autoincrement=True,
)

documents = Table(
    "lichen_documents",
    metadata,
    Column("doc", LargeBinary, primary_key=True),
    Column("space", LargeBinary, nullable=False, index=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("heads", sealed_bytes(HEADS), nullable=False),
    Column("title", sealed_text(TITLE)),
)

# Apart from `documents`, whose rows are written at every edit: SQLite would handle the whole snapshot each time.
snapshots = Table(
    "lichen_snapshots",
    metadata,
    Column("doc", LargeBinary, primary_key=True),
    Column("folded", BigInteger, nullable=False),
    Column("body", sealed_bytes(SNAPSHOT), nullable=False),
)

changes = Table(
    "lichen_changes",
    metadata,
    Column("num", Number, primary_key=True, autoincrement=True),
    Column("doc", LargeBinary, nullable=False),
    Column("session", LargeBinary),
    Column("continues", Boolean, nullable=False),
    Column("body", sealed_bytes(BODY), nullable=False),
    Index(None, "doc", "num"),
    Index(
        "ix_lichen_changes_unsealed",
        "doc",
        "num",
        sqlite_where=Column("session").isnot(None),
        postgresql_where=Column("session").isnot(None),
    ),
    sqlite_autoincrement=True,
)

unfollowed = Table("lichen_unfollowed", metadata, Column("doc", LargeBinary, primary_key=True))

sessions = Table(
    "lichen_sessions",
    metadata,
    Column("doc", LargeBinary, primary_key=True),
    Column("session", LargeBinary, primary_key=True),
    Column("nonce", LargeBinary),
    Column("seq", BigInteger, nullable=False),
    Column("last", LargeBinary),
)

peers = Table(
    "lichen_peers",
    metadata,
    Column("peer", LargeBinary, primary_key=True),
    Column("space", LargeBinary, primary_key=True),
    Column("store", LargeBinary, nullable=False),
    Column("position", BigInteger, nullable=False),
)

addresses = Table(
    "lichen_addresses", metadata, Column("url", sealed_text("lichen_addresses.url", equal=True), primary_key=True)
)

tickets = Table(
    "lichen_tickets",
    metadata,
    Column("id", LargeBinary, primary_key=True),
    Column("space", LargeBinary, nullable=False),
    Column("seed", sealed_bytes("lichen_tickets.seed"), nullable=False),
    Column("role", Integer, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("mode", String, nullable=False),
)

redemptions = Table(
    "lichen_redemptions",
    metadata,
    Column("ticket", LargeBinary, primary_key=True),
    Column("device", LargeBinary, primary_key=True),
    Column("redeemed_ms", BigInteger, nullable=False),
)

mail = Table(
    "lichen_mail",
    metadata,
    Column("num", Number, primary_key=True, autoincrement=True),
    Column("receiver", LargeBinary, nullable=False, index=True),
    Column("sender", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
