"""Orders to export a live gallery, which two people give (P30)."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0016"
down_revision: str | None = "0015"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "export_orders",
        sa.Column("order_id", sa.String(64), primary_key=True),
        sa.Column("gallery", sa.String(128), nullable=False),
        sa.Column("with_pictures", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(1024), nullable=False),
        sa.Column("asked_by", sa.String(256), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("approved_by", sa.String(256)),
        sa.Column("approved_at", UtcDateTime()),
        sa.Column("folder", sa.String(64)),
        sa.Column("finished_at", UtcDateTime()),
    )
    op.create_index("ix_export_orders_asked_at", "export_orders", ["asked_at"])


def downgrade() -> None:
    op.drop_index("ix_export_orders_asked_at", "export_orders")
    op.drop_table("export_orders")
