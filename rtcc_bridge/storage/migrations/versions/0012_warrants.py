"""The warrant, or the exigency that stands in for one, which an analyst states with a still (P09)."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
oldest_program: str = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("probes", sa.Column("warrant_or_exigency", sa.String(length=1024)))


def downgrade() -> None:
    op.drop_column("probes", "warrant_or_exigency")
