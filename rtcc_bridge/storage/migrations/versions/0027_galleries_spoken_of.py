"""An index of whether the record system has spoken of a gallery, which its page asks."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0027"
down_revision: str | None = "0026"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    told = sa.text("retention_told_at IS NOT NULL")
    op.create_index(
        "ix_gallery_images_told_gallery", "gallery_images", ["gallery"], sqlite_where=told, postgresql_where=told
    )


def downgrade() -> None:
    op.drop_index("ix_gallery_images_told_gallery", table_name="gallery_images")
