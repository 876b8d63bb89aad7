"""When the record system said until when an image may be kept: its last word counts, in whatever order it comes."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0017"
down_revision: str | None = "0016"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("gallery_images", sa.Column("retention_told_at", UtcDateTime()))


def downgrade() -> None:
    op.drop_column("gallery_images", "retention_told_at")
