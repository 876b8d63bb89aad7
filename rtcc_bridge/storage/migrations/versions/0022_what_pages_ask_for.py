"""What pages ask for without reading whole tables: counts of acts by day, and indexes of the newest leads, of approvals
that are awaited or have lapsed, and of reviews by when they were filed."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "act_counts",
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("is_refused", sa.Boolean(), nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(64), nullable=False),
        sa.Column("gallery", sa.String(128), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "is_refused", "rule", "purpose", "gallery", name=op.f("pk_act_counts")),
    )
    op.create_table(
        "act_count_marks",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_act_count_marks")),
    )
    op.create_index("ix_leads_exercise_created_at", "leads", ["exercise", "created_at"])
    op.create_index("ix_leads_review_state_exercise_created_at", "leads", ["review_state", "exercise", "created_at"])
    op.create_index("ix_probes_approval", "probes", ["approval"])
    op.create_index("ix_examinations_filed_at", "examinations", ["filed_at"])


def downgrade() -> None:
    op.drop_index("ix_examinations_filed_at", table_name="examinations")
    op.drop_index("ix_probes_approval", table_name="probes")
    op.drop_index("ix_leads_review_state_exercise_created_at", table_name="leads")
    op.drop_index("ix_leads_exercise_created_at", table_name="leads")
    op.drop_table("act_count_marks")
    op.drop_table("act_counts")
