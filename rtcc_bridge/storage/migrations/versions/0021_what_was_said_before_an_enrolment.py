"""What the record system said of images that are not enrolled: a booking of before must not let them in afterwards."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0021"
down_revision: str | None = "0020"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "retention_words",
        sa.Column("gallery", sa.String(128), nullable=False),
        sa.Column("image_sha256", sa.String(64), nullable=False),
        sa.Column("subject_digest", sa.String(64), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("said_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["gallery"], ["galleries.name"], name=op.f("fk_retention_words_gallery")),
        sa.PrimaryKeyConstraint("gallery", "image_sha256", "subject_digest", name=op.f("pk_retention_words")),
    )


def downgrade() -> None:
    op.drop_table("retention_words")
