"""What was slow on pages of oversight: what was done with stills, apart from the log, and how much of it has been read;
indexes of when a policy came into force, and of whose and from where a gallery's pictures are."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0024"
down_revision: str | None = "0023"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "still_acts",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("incident_id", sa.String(256)),
        sa.Column("still", sa.String(64)),
        sa.Column("face", sa.String(64)),
        sa.Column("edits", sa.Text()),
        sa.Column("opened", sa.Boolean()),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_still_acts")),
    )
    op.create_index("ix_still_acts_action_at_still_face", "still_acts", ["action", "at", "still", "face"])
    op.create_table(
        "log_marks",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_log_marks")),
    )
    reload = sa.text("action = 'policy.reload'")
    op.create_index(
        "ix_audit_entries_policy_reload",
        "audit_entries",
        ["at", "entry_id"],
        sqlite_where=reload,
        postgresql_where=reload,
    )
    living = sa.text("removed_version IS NULL")
    op.create_index(
        "ix_gallery_images_living_subject_id",
        "gallery_images",
        ["gallery", "subject_id", "image_object"],
        sqlite_where=living,
        postgresql_where=living,
    )
    if op.get_context().dialect.name == "sqlite":
        op.create_index(
            "ix_gallery_images_living_sources",
            "gallery_images",
            ["gallery", "provenance", "lawful_basis", "subject_id", "retain_until", "image_object"],
            sqlite_where=living,
        )


def downgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.drop_index("ix_gallery_images_living_sources", table_name="gallery_images")
    op.drop_index("ix_gallery_images_living_subject_id", table_name="gallery_images")
    op.drop_index("ix_audit_entries_policy_reload", table_name="audit_entries")
    op.drop_table("log_marks")
    op.drop_table("still_acts")
