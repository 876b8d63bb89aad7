"""Third examinations that were handed over, whom nobody asks to examine, and which answers of a provider are used."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0018"
down_revision: str | None = "0017"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("people", sa.Column("unvouched_since", UtcDateTime()))
    op.create_table(
        "handed_over_examinations",
        sa.Column("examination_id", sa.String(64), nullable=False),
        sa.Column("lead_id", sa.String(64), nullable=False),
        sa.Column("candidates", sa.JSON(), nullable=False),
        sa.Column("reserved_for", sa.String(256), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("taken_at", UtcDateTime()),
        sa.Column("handed_over_at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.lead_id"], name=op.f("fk_handed_over_examinations_lead_id")),
        sa.PrimaryKeyConstraint("examination_id", name=op.f("pk_handed_over_examinations")),
    )
    op.create_index(op.f("ix_handed_over_examinations_lead_id"), "handed_over_examinations", ["lead_id"])
    op.create_table(
        "used_sign_ins",
        sa.Column("state_hash", sa.String(64), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_used_sign_ins")),
    )
    op.create_index(op.f("ix_used_sign_ins_used_at"), "used_sign_ins", ["used_at"])


def downgrade() -> None:
    op.drop_table("used_sign_ins")
    op.drop_table("handed_over_examinations")
    op.drop_column("people", "unvouched_since")
