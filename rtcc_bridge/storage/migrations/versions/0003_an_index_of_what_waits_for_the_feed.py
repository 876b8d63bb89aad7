"""An index of the outbox for what waits for its place on the feed, however many rows never get one."""

from collections.abc import Sequence

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
oldest_program: str = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_outbox_feed_position_on_feed", "outbox", ["feed_position", "on_feed"])


def downgrade() -> None:
    op.drop_index("ix_outbox_feed_position_on_feed", table_name="outbox")
