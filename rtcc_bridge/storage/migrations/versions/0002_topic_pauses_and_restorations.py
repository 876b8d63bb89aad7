"""Pauses of topics, which a command of another process ends, and restorations from a backup."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0002"
down_revision: str | None = "0001"
oldest_program: str = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "topic_pauses",
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("paused_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(length=256), nullable=False),
        sa.Column("resume_requested_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_topic_pauses")),
    )
    op.create_table(
        "restorations",
        sa.Column("restoration_id", sa.String(length=64), nullable=False),
        sa.Column("backup_id", sa.String(length=64), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("restoration_id", name=op.f("pk_restorations")),
    )


def downgrade() -> None:
    op.drop_table("restorations")
    op.drop_table("topic_pauses")
