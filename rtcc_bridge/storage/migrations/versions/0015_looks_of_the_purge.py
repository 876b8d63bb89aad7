"""When somebody last looked for what is to be purged: a clock that leapt is not believed by the next process either."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0015"
down_revision: str | None = "0014"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "purge_looks",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("distrusted_until", UtcDateTime()),
    )


def downgrade() -> None:
    op.drop_table("purge_looks")
