"""The tree over the audit log: the place of each entry, hashes for proofs, checkpoints, and keys of commitments."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0008"
down_revision: str | None = "0007"
oldest_program: str = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WAITING = "ix_audit_entries_waiting"
_PLACES = "ix_audit_entries_position"


def upgrade() -> None:
    op.add_column("audit_entries", sa.Column("position", sa.BigInteger()))
    op.create_index(_PLACES, "audit_entries", ["position"], unique=True)
    waiting = sa.text("position IS NULL")
    op.create_index(_WAITING, "audit_entries", ["at", "entry_id"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_index("ix_audit_entries_subject", "audit_entries", ["subject"])
    op.create_table(
        "audit_logs",
        sa.Column("origin", sa.String(256), nullable=False),
        sa.Column("public_key", sa.String(512), nullable=False),
        sa.Column("begun_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_audit_logs")),
    )
    op.create_table(
        "audit_tiles",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name=op.f("pk_audit_tiles")),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.String(8192), nullable=False),
        sa.Column("signed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_checkpoints")),
    )
    op.create_table(
        "audit_acknowledgements",
        sa.Column("place", sa.String(32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("receipt", sa.String(4096), nullable=False),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_audit_acknowledgements")),
    )
    op.create_table(
        "audit_commitments",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("commitment", sa.String(64), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("master_key_id", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_audit_commitments")),
    )


def downgrade() -> None:
    for table in (
        "audit_commitments", "audit_acknowledgements", "audit_checkpoints", "audit_tiles", "audit_logs",
    ):  # fmt: skip
        op.drop_table(table)
    op.drop_index("ix_audit_entries_subject", table_name="audit_entries")
    op.drop_index(_WAITING, table_name="audit_entries")
    op.drop_index(_PLACES, table_name="audit_entries")
    op.drop_column("audit_entries", "position")
