"""The day on which a gallery picture was taken, which examiners see beside it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("gallery_images", sa.Column("taken_on", sa.String(10)))


def downgrade() -> None:
    op.drop_column("gallery_images", "taken_on")
