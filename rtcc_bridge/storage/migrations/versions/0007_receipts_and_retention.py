"""When the bytes of what was removed were gone, and an index of what has a retention date to come."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0007"
down_revision: str | None = "0006"
oldest_program: str = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_INDEX = "ix_gallery_images_living_retain_until"


def upgrade() -> None:
    op.add_column("gallery_removals", sa.Column("bytes_gone_at", UtcDateTime()))
    living = sa.text("removed_version IS NULL")
    op.create_index(_INDEX, "gallery_images", ["gallery", "retain_until"], sqlite_where=living, postgresql_where=living)


def downgrade() -> None:
    op.drop_index(_INDEX, table_name="gallery_images")
    op.drop_column("gallery_removals", "bytes_gone_at")
