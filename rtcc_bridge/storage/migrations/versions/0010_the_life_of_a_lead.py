"""Examinations, opinions, releases, who received them, what evidence said, and seeded cases."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import Id, UtcDateTime

revision: str = "0010"
down_revision: str | None = "0009"
oldest_program: str = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_LEAD = "leads.lead_id"


def upgrade() -> None:
    op.create_table(
        "proficiency_cases",
        sa.Column("case_id", sa.String(length=64), nullable=False),
        sa.Column("gallery", sa.String(length=128), nullable=False),
        sa.Column("probe_image", Id, nullable=False),
        sa.Column("candidates", sa.JSON(), nullable=False),
        sa.Column("seeded_by", sa.String(length=256), nullable=False),
        sa.Column("seeded_at", UtcDateTime(), nullable=False),
        _refers("proficiency_cases", "gallery", "galleries.name"),
        _refers("proficiency_cases", "probe_image", "gallery_images.image_id"),
        _key("proficiency_cases", "case_id"),
    )
    op.create_table(
        "examinations",
        sa.Column("examination_id", sa.String(length=64), nullable=False),
        sa.Column("lead_id", sa.String(length=64)),
        sa.Column("case_id", sa.String(length=64)),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("candidates", sa.JSON(), nullable=False),
        sa.Column("reserved_for", sa.String(length=256)),
        sa.Column("examiner", sa.String(length=256)),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("taken_at", UtcDateTime()),
        sa.Column("filed_at", UtcDateTime()),
        sa.Column("closed_at", UtcDateTime()),
        _refers("examinations", "lead_id", _LEAD),
        _refers("examinations", "case_id", "proficiency_cases.case_id"),
        _key("examinations", "examination_id"),
        sa.UniqueConstraint("lead_id", "round", name="uq_examinations_lead_id_round"),
    )
    for column in ("case_id", "examiner", "lead_id"):
        op.create_index(f"ix_examinations_{column}", "examinations", [column])
    op.create_table(
        "opinions",
        sa.Column("examination_id", sa.String(length=64), nullable=False),
        sa.Column("opinion", sa.JSON(), nullable=False),
        sa.Column("nonce", sa.String(length=64)),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _refers("opinions", "examination_id", "examinations.examination_id"),
        _key("opinions", "examination_id"),
    )
    op.create_table(
        "releases",
        sa.Column("lead_id", sa.String(length=64), nullable=False),
        sa.Column("released_by", sa.String(length=256), nullable=False),
        sa.Column("requestor", sa.String(length=256), nullable=False),
        sa.Column("released_at", UtcDateTime(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        _refers("releases", "lead_id", _LEAD),
        _key("releases", "lead_id"),
    )
    op.create_table(
        "lead_receivers",
        sa.Column("lead_id", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=256), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("withdrawal_acknowledged_at", UtcDateTime()),
        _refers("lead_receivers", "lead_id", _LEAD),
        _key("lead_receivers", "lead_id", "account"),
    )
    op.create_table(
        "corroborations",
        sa.Column("corroboration_id", sa.String(length=64), nullable=False),
        sa.Column("lead_id", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("investigator", sa.String(length=256), nullable=False),
        sa.Column("reported_by", sa.String(length=256), nullable=False),
        sa.Column("reported_at", UtcDateTime(), nullable=False),
        _refers("corroborations", "lead_id", _LEAD),
        _key("corroborations", "corroboration_id"),
    )
    op.create_index("ix_corroborations_lead_id", "corroborations", ["lead_id"])
    op.create_table(
        "lead_reminders",
        sa.Column("lead_id", sa.String(length=64), nullable=False),
        sa.Column("hours_before", sa.Integer(), nullable=False),
        sa.Column("reminded_at", UtcDateTime(), nullable=False),
        _refers("lead_reminders", "lead_id", _LEAD),
        _key("lead_reminders", "lead_id", "hours_before"),
    )


def downgrade() -> None:
    for table in (
        "lead_reminders", "corroborations", "lead_receivers", "releases", "opinions", "examinations",
        "proficiency_cases",
    ):  # fmt: skip
        op.drop_table(table)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _refers(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")
