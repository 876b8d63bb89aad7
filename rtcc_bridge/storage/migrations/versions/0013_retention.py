"""What was purged and when, legal holds, and how cases were disposed of."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0013"
down_revision: str | None = "0012"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("probes", sa.Column("purged_at", UtcDateTime()))
    kept = sa.text("purged_at IS NULL")
    op.create_index("ix_probes_kept_created_at", "probes", ["created_at"], sqlite_where=kept, postgresql_where=kept)
    op.create_index("ix_probes_case_number", "probes", ["case_number"])
    op.create_table(
        "legal_holds",
        sa.Column("hold_id", sa.String(64), nullable=False),
        sa.Column("case_number", sa.String(256)),
        sa.Column("probe_id", sa.String(64)),
        sa.Column("reason", sa.String(1024), nullable=False),
        sa.Column("placed_by", sa.String(256), nullable=False),
        sa.Column("placed_at", UtcDateTime(), nullable=False),
        sa.Column("lifted_by", sa.String(256)),
        sa.Column("lifted_at", UtcDateTime()),
        sa.Column("lift_reason", sa.String(1024)),
        sa.PrimaryKeyConstraint("hold_id", name="pk_legal_holds"),
    )
    op.create_index("ix_legal_holds_case_number", "legal_holds", ["case_number"])
    op.create_index("ix_legal_holds_probe_id", "legal_holds", ["probe_id"])
    op.create_table(
        "dispositions",
        sa.Column("disposition_id", sa.String(64), nullable=False),
        sa.Column("case_number", sa.String(256), nullable=False),
        sa.Column("disposition", sa.String(32), nullable=False),
        sa.Column("disposed_on", sa.String(10), nullable=False),
        sa.Column("recorded_by", sa.String(256), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("disposition_id", name="pk_dispositions"),
    )
    op.create_index("ix_dispositions_case_number", "dispositions", ["case_number"])
    op.create_table(
        "purges",
        sa.Column("probe_id", sa.String(64), nullable=False),
        sa.Column("lead_id", sa.String(64)),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("purged_at", UtcDateTime(), nullable=False),
        sa.Column("objects", sa.JSON(), nullable=False),
        sa.Column("audit_leaf", sa.String(64), nullable=False),
        sa.Column("bytes_gone_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("probe_id", name="pk_purges"),
    )
    op.create_index("ix_purges_lead_id", "purges", ["lead_id"])
    op.create_index("ix_purges_purged_at", "purges", ["purged_at"])
    left = sa.text("bytes_gone_at IS NULL")
    op.create_index("ix_purges_bytes_left", "purges", ["probe_id"], sqlite_where=left, postgresql_where=left)


def downgrade() -> None:
    for table in ("purges", "dispositions", "legal_holds"):
        op.drop_table(table)
    op.drop_index("ix_probes_case_number", table_name="probes")
    op.drop_index("ix_probes_kept_created_at", table_name="probes")
    op.drop_column("probes", "purged_at")
