"""Clips that wait for a frame to be chosen, and which frame of which clip a still was."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0020"
down_revision: str | None = "0019"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("probes", sa.Column("cut_from", sa.JSON()))
    op.create_table(
        "clips",
        sa.Column("clip_id", sa.String(64), nullable=False),
        sa.Column("incident_id", sa.String(256), nullable=False),
        sa.Column("analyst", sa.String(256), nullable=False),
        sa.Column("purpose", sa.String(64), nullable=False),
        sa.Column("lane", sa.String(16), nullable=False),
        sa.Column("form", sa.JSON()),
        sa.Column("clip_object", sa.String(256)),
        sa.Column("clip_sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("frames", sa.JSON()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime()),
        sa.Column("ended_at", UtcDateTime()),
        sa.Column("outcome", sa.String(16)),
        sa.Column("probe_id", sa.String(64)),
        sa.PrimaryKeyConstraint("clip_id", name=op.f("pk_clips")),
    )
    kept = sa.text("ended_at IS NULL")
    op.create_index("ix_clips_kept", "clips", ["expires_at"], sqlite_where=kept, postgresql_where=kept)


def downgrade() -> None:
    op.drop_table("clips")
    op.drop_column("probes", "cut_from")
