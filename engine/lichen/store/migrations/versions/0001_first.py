"""The first schema. What it made stays written here, whatever `lichen.store.schema` becomes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SEALED = sa.String().with_variant(sa.LargeBinary, "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _bytes(name: str, *, primary_key: bool = False, nullable: bool = True) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, primary_key=primary_key, nullable=nullable and not primary_key)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _num() -> sa.Column[int]:
    return sa.Column("num", NUMBER, primary_key=True, autoincrement=True)


def upgrade() -> None:
    """Make every table."""
    _make_node_tables()
    _make_space_tables()
    _make_document_tables()
    _make_mail()


def _make_node_tables() -> None:
    op.create_table("lichen_meta", sa.Column("key", sa.String, primary_key=True), _bytes("value", nullable=False))
    op.create_table("lichen_addresses", sa.Column("url", SEALED, primary_key=True))
    op.create_table(
        "lichen_peers",
        _bytes("peer", primary_key=True),
        _bytes("space", primary_key=True),
        _bytes("store", nullable=False),
        _number("position"),
    )


def _make_space_tables() -> None:
    op.create_table("lichen_spaces", _bytes("space", primary_key=True), _number("joined_ms"), _bytes("inviter"))
    op.create_table(
        "lichen_operations",
        _num(),
        _bytes("id", nullable=False),
        _bytes("space", nullable=False),
        _bytes("body", nullable=False),
        sa.UniqueConstraint("id", name="uq_lichen_operations_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lichen_operations_space", "lichen_operations", ["space"])
    op.create_table(
        "lichen_epoch_keys",
        _bytes("space", primary_key=True),
        _bytes("epoch", primary_key=True),
        _bytes("key", nullable=False),
    )
    op.create_table(
        "lichen_tickets",
        _bytes("id", primary_key=True),
        _bytes("space", nullable=False),
        _bytes("seed", nullable=False),
        sa.Column("role", sa.Integer, nullable=False),
        sa.Column("uses_left", sa.Integer, nullable=False),
        _number("expires_ms"),
        sa.Column("mode", sa.String, nullable=False),
    )
    op.create_table(
        "lichen_redemptions",
        _bytes("ticket", primary_key=True),
        _bytes("device", primary_key=True),
        _number("redeemed_ms"),
    )


def _make_document_tables() -> None:
    op.create_table(
        "lichen_change_sets",
        _num(),
        *(_bytes(name, nullable=False) for name in ("id", "space", "doc", "author", "session")),
        _number("seq"),
        _bytes("deps", nullable=False),
        _bytes("access", nullable=False),
        _number("time"),
        _bytes("tip", nullable=False),
        _bytes("last_hash"),
        sa.Column("size", sa.Integer, nullable=False),
        _bytes("body", nullable=False),
        sa.UniqueConstraint("id", name="uq_lichen_change_sets_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lichen_change_sets_doc", "lichen_change_sets", ["doc"])
    op.create_index("ix_lichen_change_sets_space_num", "lichen_change_sets", ["space", "num"])
    op.create_table(
        "lichen_documents",
        _bytes("doc", primary_key=True),
        _bytes("space", nullable=False),
        _number("created_ms"),
        _number("changed_ms"),
        _bytes("heads", nullable=False),
        sa.Column("title", SEALED),
    )
    op.create_index("ix_lichen_documents_space", "lichen_documents", ["space"])
    op.create_table(
        "lichen_snapshots",
        _bytes("doc", primary_key=True),
        _number("folded"),
        _bytes("body", nullable=False),
    )
    op.create_table(
        "lichen_changes",
        _num(),
        _bytes("doc", nullable=False),
        _bytes("session"),
        sa.Column("continues", sa.Boolean, nullable=False),
        _bytes("body", nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lichen_changes_doc_num", "lichen_changes", ["doc", "num"])
    op.create_index(
        "ix_lichen_changes_unsealed",
        "lichen_changes",
        ["doc", "num"],
        sqlite_where=sa.text("session IS NOT NULL"),
        postgresql_where=sa.text("session IS NOT NULL"),
    )
    op.create_table("lichen_unfollowed", _bytes("doc", primary_key=True))
    op.create_table(
        "lichen_sessions",
        _bytes("doc", primary_key=True),
        _bytes("session", primary_key=True),
        _bytes("nonce"),
        _number("seq"),
        _bytes("last"),
    )


def _make_mail() -> None:
    op.create_table(
        "lichen_mail",
        _num(),
        _bytes("receiver", nullable=False),
        _bytes("sender", nullable=False),
        _bytes("body", nullable=False),
        _number("received_ms"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lichen_mail_receiver", "lichen_mail", ["receiver"])
