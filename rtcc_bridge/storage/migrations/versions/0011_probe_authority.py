"""What a still is searched on beyond one approval: several stills, edits, exceptions by named people."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0011"
down_revision: str | None = "0010"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("probes", sa.Column("same_person_as", sa.String(64)))
    op.add_column("probes", sa.Column("edits", sa.JSON()))
    op.add_column("probes", sa.Column("authority_token", sa.JSON()))
    op.create_index("ix_probes_same_person_as", "probes", ["same_person_as"])
    op.create_table(
        "probe_openings",
        sa.Column("probe_id", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(256), primary_key=True),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "deferral_lifts",
        sa.Column("lift_id", sa.String(64), primary_key=True),
        sa.Column("analyst", sa.String(256), nullable=False),
        sa.Column("lifted_by", sa.String(256), nullable=False),
        sa.Column("lifted_at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(1024), nullable=False),
    )
    op.create_index("ix_deferral_lifts_analyst", "deferral_lifts", ["analyst"])
    op.create_table(
        "imminent_declarations",
        sa.Column("incident_id", sa.String(256), primary_key=True),
        sa.Column("declared_by", sa.String(256), nullable=False),
        sa.Column("declared_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(1024), nullable=False),
    )
    op.create_table(
        "refusal_overrides",
        sa.Column("incident_id", sa.String(256), primary_key=True),
        sa.Column("attested_by", sa.String(256), nullable=False),
        sa.Column("attested_at", UtcDateTime(), nullable=False),
        sa.Column("attestation", sa.String(1024), nullable=False),
        sa.Column("confirmed_by", sa.String(256)),
        sa.Column("confirmed_at", UtcDateTime()),
    )

    op.create_table(
        "provisional_incidents",
        sa.Column("incident_id", sa.String(256), primary_key=True),
        sa.Column("opened_by", sa.String(256), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("reconcile_by", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(1024), nullable=False),
        sa.Column("reconciled_with", sa.String(256)),
        sa.Column("reconciled_by", sa.String(256)),
        sa.Column("reconciled_at", UtcDateTime()),
        sa.Column("withdrawn_at", UtcDateTime()),
    )


def downgrade() -> None:
    op.drop_table("provisional_incidents")
    for table in ("refusal_overrides", "imminent_declarations", "deferral_lifts", "probe_openings"):
        op.drop_table(table)
    op.drop_index("ix_probes_same_person_as", table_name="probes")
    op.drop_column("probes", "authority_token")
    op.drop_column("probes", "edits")
    op.drop_column("probes", "same_person_as")
