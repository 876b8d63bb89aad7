"""Pictures that were sent on the page of a gallery, and that wait for a matcher to make their templates."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0023"
down_revision: str | None = "0022"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "sent_pictures",
        sa.Column("picture_id", sa.String(64), nullable=False),
        sa.Column("gallery", sa.String(128), nullable=False),
        sa.Column("image_sha256", sa.String(64), nullable=False),
        sa.Column("sent_by", sa.String(256), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=False),
        sa.Column("words", sa.JSON()),
        sa.Column("face", sa.JSON()),
        sa.Column("picture_object", sa.String(256)),
        sa.Column("reason", sa.String(32)),
        sa.Column("detail", sa.String(1024)),
        sa.Column("version", sa.BigInteger()),
        sa.Column("settled_at", UtcDateTime()),
        sa.ForeignKeyConstraint(["gallery"], ["galleries.name"], name=op.f("fk_sent_pictures_gallery")),
        sa.PrimaryKeyConstraint("picture_id", name=op.f("pk_sent_pictures")),
    )
    op.create_index("ix_sent_pictures_sent_at", "sent_pictures", ["sent_at"])
    waiting = sa.text("settled_at IS NULL")
    op.create_index(
        "ix_sent_pictures_waiting",
        "sent_pictures",
        ["gallery", "image_sha256"],
        unique=True,
        sqlite_where=waiting,
        postgresql_where=waiting,
    )


def downgrade() -> None:
    op.drop_table("sent_pictures")
