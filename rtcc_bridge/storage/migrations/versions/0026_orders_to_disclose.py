"""Orders to identify everybody on the lists of some leads in a discovery packet, which two people give (P17)."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0026"
down_revision: str | None = "0025"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "disclosure_orders",
        sa.Column("order_id", sa.String(64), primary_key=True),
        sa.Column("lead_ids", sa.JSON(), nullable=False),
        sa.Column("court_order", sa.String(1024), nullable=False),
        sa.Column("asked_by", sa.String(256), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("approved_by", sa.String(256)),
        sa.Column("approved_at", UtcDateTime()),
        sa.Column("made_at", UtcDateTime()),
    )
    op.create_index("ix_disclosure_orders_asked_at", "disclosure_orders", ["asked_at"])


def downgrade() -> None:
    op.drop_index("ix_disclosure_orders_asked_at", "disclosure_orders")
    op.drop_table("disclosure_orders")
