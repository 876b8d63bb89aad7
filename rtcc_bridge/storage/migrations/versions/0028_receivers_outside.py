"""Who has had a lead outside the program, where its events lie on the topic, and how far readers have come (P19)."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0028"
down_revision: str | None = "0027"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WAITING = "ix_outside_receivers_unacknowledged"
_PLACE = "ix_lead_event_offsets_topic_partition_offset"


def upgrade() -> None:
    op.create_table(
        "outside_receivers",
        sa.Column("receiver_id", sa.String(64), primary_key=True),
        sa.Column(
            "lead_id",
            sa.String(64),
            sa.ForeignKey("leads.lead_id", name="fk_outside_receivers_lead_id"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("office", sa.String(256), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("handed_over_by", sa.String(256)),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("withdrawal_acknowledged_at", UtcDateTime()),
        sa.Column("acknowledged_by", sa.String(256)),
        sa.Column("told_at", UtcDateTime()),
        sa.Column("told_how", sa.String(1024)),
    )
    op.create_index("ix_outside_receivers_lead_id", "outside_receivers", ["lead_id"])
    waiting = sa.text("withdrawal_acknowledged_at IS NULL")
    op.create_index(_WAITING, "outside_receivers", ["kind", "lead_id"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_table(
        "lead_event_offsets",
        sa.Column("event_id", sa.String(64), primary_key=True),
        sa.Column("lead_id", sa.String(64), nullable=False),
        sa.Column("topic", sa.String(249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.Boolean(), nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_lead_event_offsets_lead_id", "lead_event_offsets", ["lead_id"])
    op.create_index(_PLACE, "lead_event_offsets", ["topic", "partition", "offset"])
    op.create_table(
        "topic_readers",
        sa.Column("reader", sa.String(256), primary_key=True),
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer(), primary_key=True),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("moved_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("topic_readers")
    op.drop_index(_PLACE, "lead_event_offsets")
    op.drop_index("ix_lead_event_offsets_lead_id", "lead_event_offsets")
    op.drop_table("lead_event_offsets")
    op.drop_index(_WAITING, "outside_receivers")
    op.drop_index("ix_outside_receivers_lead_id", "outside_receivers")
    op.drop_table("outside_receivers")
