"""The day on which a gallery picture was taken, and which comparison aids an examiner has used."""

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
    op.add_column("opinions", sa.Column("aids", sa.JSON()))


def downgrade() -> None:
    op.drop_column("opinions", "aids")
    op.drop_column("gallery_images", "taken_on")
